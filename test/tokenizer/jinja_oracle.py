"""Renders templates with jinja2, set up as transformers does for chat templates.

Reads {"now": seconds, "cases": [{"template", "variables"}]} from standard input; writes a list of {"text"} or {"error"}.
"""
import functools
import json
import sys
from datetime import datetime

import jinja2
from jinja2.ext import loopcontrols, Extension
from jinja2.sandbox import ImmutableSandboxedEnvironment


class Generation(Extension):
    tags = {"generation"}

    def parse(self, parser):
        lineno = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_render"), [], [], body).set_lineno(lineno)

    def _render(self, caller):
        return caller()


def raise_exception(message):
    raise jinja2.exceptions.TemplateError(message)


def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


data = json.load(sys.stdin)
now = datetime(*data["now"])
env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols])
env.filters["tojson"] = tojson
env.globals["raise_exception"] = raise_exception
env.globals["strftime_now"] = lambda format: now.strftime(format)

parse = functools.cache(env.from_string)
found = []
for case in data["cases"]:
    try:
        found.append({"text": parse(case["template"]).render(**case["variables"])})
    except Exception as error:
        found.append({"error": f"{type(error).__name__}: {error}"})
json.dump(found, sys.stdout)
