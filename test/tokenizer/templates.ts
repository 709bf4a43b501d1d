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

/** As Granite 4's: tools in <tools>, documents, calls and their answers, contents in parts. */
export const GRANITE_4 = `
{%- set tools_text = '' %}
{%- if tools %}
    {%- for tool in tools %}
        {%- set tools_text = tools_text + '\\n' + (tool | tojson) %}
    {%- endfor %}
    {%- set ns = namespace(list='') %}
    {%- for tool in tools %}{% set ns.list = ns.list + '\\n' + (tool | tojson) %}{% endfor %}
{%- endif %}
{%- set system = messages[0].content if messages and messages[0].role == 'system' else none %}
{%- if system is not none or tools or documents %}
<|start_of_role|>system<|end_of_role|>{{ system if system else 'You are a helpful assistant.' }}
    {%- if tools %}{{ '\\n\\n<tools>' + ns.list + '\\n</tools>' }}{% endif %}
    {%- for document in documents or [] %}
{{ '\\n<document ' ~ loop.index ~ ' of ' ~ loop.length ~ '>' ~ document }}
    {%- endfor %}
<|end_of_text|>
{% endif %}
{%- for message in messages if message.role != 'system' %}
    {%- set content = namespace(text='') %}
    {%- if message.content is string %}
        {%- set content.text = message.content %}
    {%- elif message.content is iterable %}
        {%- for part in message.content %}
            {%- if part.type == 'text' %}
                {%- if content.text %}{% set content.text = content.text + '\\n' %}{% endif %}
                {%- set content.text = content.text + part.text %}
            {%- endif %}
        {%- endfor %}
    {%- endif %}
    {%- if message.role == 'tool' %}
        {%- if loop.first or loop.previtem.role != 'tool' %}<|start_of_role|>user<|end_of_role|>{% endif %}
{{ '\\n<tool_response>\\n' + content.text + '\\n</tool_response>' }}
        {%- if loop.last or loop.nextitem.role != 'tool' %}<|end_of_text|>
{% endif %}
    {%- else %}
<|start_of_role|>{{ message.role }}<|end_of_role|>{{ content.text }}
        {%- for call in message.tool_calls or [] %}
{{ '\\n<tool_call>\\n' }}{{ {'name': call.function.name, 'arguments': call.function.arguments} | tojson }}{{ '\\n</tool_call>' }}
        {%- endfor %}<|end_of_text|>
{% endif %}
{%- endfor %}
{%- if add_generation_prompt %}<|start_of_role|>assistant<|end_of_role|>{% endif %}`;

/** As Falcon-H1's: ChatML with tools as a list, and answers of tools as a user's words. */
export const FALCON_H1 = `{{bos_token}}
{%- if tools %}
    {{- '<|im_start|>system\\n' }}
    {%- if messages[0].role == 'system' %}{{- messages[0].content.strip() + '\\n\\n' }}{% endif %}
    {{- 'You are given functions within <tools></tools>:\\n<tools>[' }}
    {%- for tool in tools %}{{ tool | tojson(indent=4) }}{{ ', ' if not loop.last }}{% endfor %}
    {{- ']</tools><|im_end|>\\n' }}
{%- elif messages[0].role == 'system' %}
    {{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}
{%- endif %}
{%- for message in messages %}
    {%- if message.role in ('user', 'assistant') and not message.tool_calls is defined %}
        {{- '<|im_start|>' + message.role + '\\n' + (message.content | default('', true) | string) + '<|im_end|>\\n' }}
    {%- elif message.role == 'assistant' %}
        {{- '<|im_start|>assistant\\n' ~ (message.content or '') }}
        {%- for call in message.tool_calls %}
            {%- set call = call.function if call.function else call %}
            {{- '<tool_call>\\n{"name": "' ~ call.name ~ '", "arguments": ' ~ (call.arguments | tojson) ~ '}\\n</tool_call>' }}
        {%- endfor %}
        {{- '<|im_end|>\\n' }}
    {%- elif message.role == 'tool' %}
        {{- '<|im_start|>user\\n<tool_response>' + message.content | trim + '</tool_response><|im_end|>\\n' }}
    {%- endif %}
{%- endfor %}
{{- '<|im_start|>assistant\\n' if add_generation_prompt }}`;

/** As Mistral's (Codestral): instructions between brackets, roles that alternate, the last message found by index. */
export const INSTRUCT = `
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content'] %}
    {%- set loop_messages = messages[1:] %}
{%- else %}
    {%- set loop_messages = messages %}
{%- endif %}
{%- set user_messages = loop_messages | selectattr('role', 'equalto', 'user') | list %}
{{- bos_token }}
{%- for message in loop_messages %}
    {%- if message['role'] == 'user' %}
        {%- if tools is not none and (message == user_messages[-1]) %}
            {{- '[AVAILABLE_TOOLS] [' }}
            {%- for tool in tools %}
                {{- tool | tojson }}{% if not loop.last %}{{- ', ' }}{% else %}{{- ']' }}{% endif %}
            {%- endfor %}
            {{- '[/AVAILABLE_TOOLS]' }}
        {%- endif %}
        {%- if loop.last and system_message is defined %}
            {{- '[INST] ' + system_message + '\\n\\n' + message['content'] + '[/INST]' }}
        {%- else %}
            {{- '[INST] ' ~ message['content'] ~ '[/INST]' }}
        {%- endif %}
    {%- elif message.tool_calls is defined and message.tool_calls is not none %}
        {{- '[TOOL_CALLS] ' ~ message.tool_calls | map(attribute='function') | list | tojson ~ eos_token }}
    {%- elif message['role'] == 'assistant' %}
        {{- ' ' ~ message['content'] | trim ~ eos_token }}
    {%- elif message['role'] == 'tool' %}
        {{- '[TOOL_RESULTS] {"content": ' ~ message.content ~ '}[/TOOL_RESULTS]' }}
    {%- else %}
        {{- raise_exception('Unknown role: ' + message['role']) }}
    {%- endif %}
{%- endfor %}`;

/** As Qwen's and Nemotron's: what was thought is cut from earlier replies, looking from the end. */
export const THINKING = `
{%- set ns = namespace(multi_step=true, last=messages | length - 1) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages | length - 1) - loop.index0 %}
    {%- if ns.multi_step and message.role == 'user' and not (message.content is string and message.content.startswith('<tool_response>')) %}
        {%- set ns.multi_step = false %}
        {%- set ns.last = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- set content = message.content if message.content is string else '' %}
    {%- if message.role == 'assistant' %}
        {%- set thought = '' %}
        {%- if message.reasoning_content is defined and message.reasoning_content is not none %}
            {%- set thought = message.reasoning_content %}
        {%- elif '</think>' in content %}
            {%- set thought = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}
            {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
        {%- endif %}
        {%- if loop.index0 > ns.last and (loop.last or thought) %}
            {{- '<|im_start|>assistant\\n<think>\\n' + thought.strip('\\n') + '\\n</think>\\n\\n' + content.lstrip('\\n') }}
        {%- else %}
            {{- '<|im_start|>' + message.role + '\\n' + content }}
        {%- endif %}
        {{- '<|im_end|>\\n' }}
    {%- else %}
        {{- '<|im_start|>' + message.role + '\\n' + content + '<|im_end|>' + '\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}{{- '<think>\\n\\n</think>\\n\\n' }}{% endif %}
{%- endif %}`;

/** As Llama 3's: the date, headers, a macro, a call in the manner of Python; \`generation\` marks for training. */
export const HEADERS = `
{%- macro header(role) %}<|start_header_id|>{{ role }}<|end_header_id|>

{% endmacro -%}
{{- bos_token }}
{%- if not date_string is defined %}{% set date_string = strftime_now('%-d %b %Y (%j, %e, %F)') %}{% endif %}
{%- if messages[0]['role'] == 'system' %}
    {%- set system = messages[0]['content'] | trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system = '' %}
{%- endif %}
{{- header('system') }}Today Date: {{ date_string }}

{{ system }}<|eot_id|>
{%- for message in messages %}
    {%- if message.tool_calls %}
        {{- header('assistant') }}
        {%- for call in message.tool_calls %}
            {{- '[' + call.function.name + '(' }}
            {%- for name, value in call.function.arguments.items() %}
                {{- name ~ '=' ~ value ~ (', ' if not loop.last else '') }}
            {%- endfor %}
            {{- ')]' }}
        {%- endfor %}
        {{- '<|eot_id|>' }}
    {%- elif message.role == 'assistant' %}
        {%- generation %}{{- header(message.role) ~ message.content ~ '<|eot_id|>' }}{% endgeneration %}
    {%- else %}
        {{- header(message.role) ~ (message.content | tojson if message.content is mapping or message.content is iterable and message.content is not string else message.content) ~ '<|eot_id|>' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- header('assistant') }}{% endif %}`;
