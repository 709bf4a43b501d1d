/** Chat templates in the manner of models that are around, written for these tests. */

/** ChatML: one form for every role, no words of its own. */
export const CHATML =
  "{% for message in messages %}{{ '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}{% endfor %}" +
  "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

/** As Granite's: roles between markers, a system message by default, tools as JSON, macros and namespaces. */
export const GRANITE = `
{%- macro turn(role, text) -%}
<|start_of_role|>{{ role }}<|end_of_role|>{{ text }}{{ eos_token }}
{%- endmacro -%}
{%- set ns = namespace(system='You are helpful.', rest=messages) -%}
{%- if messages[0]['role'] == 'system' -%}
    {%- set ns.system = messages[0]['content'] -%}
    {%- set ns.rest = messages[1:] -%}
{%- endif -%}
{%- if tools -%}
    {%- set ns.system = ns.system ~ '\\nTools:\\n' -%}
    {%- for tool in tools -%}
        {%- set ns.system = ns.system ~ (tool | tojson) ~ '\\n' -%}
    {%- endfor -%}
{%- endif -%}
{{ turn('system', ns.system) }}
{% for message in ns.rest %}
{{ turn(message.role, message.content) }}
{% endfor %}
{% if add_generation_prompt %}
<|start_of_role|>assistant<|end_of_role|>
{%- endif %}`;

/** As Falcon's: bos, roles that must alternate, replies trimmed. */
export const FALCON = `{{ bos_token }}
{%- for message in messages %}
    {%- if (message.role == 'user') != (loop.index0 % 2 == 0) %}
        {{- raise_exception('Roles must alternate: user, assistant, user, …') }}
    {%- endif %}
    {{- ('User: ' if message.role == 'user' else 'Falcon: ') + message.content | trim + '\\n\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{ 'Falcon:' }}{% endif %}`;
