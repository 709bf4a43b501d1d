/**
 * Text, token ids, or a conversation for the model's chat template. An empty one continues a session; a conversation is
 * the whole of it: a session keeps what it has consumed of it already, and goes back to where they part.
 */
export type Prompt = string | readonly number[] | Int32Array | Chat;

/** How a prompt of text becomes ids. */
export interface PromptOptions {
  /**
   * True, the default: a text that a sequence begins with gets what the tokenizer puts before one (bos, where it has it
   * so), unless it is written out there. Never what comes after a text (eos), nor anything in later turns or messages.
   */
  addSpecialTokens?: boolean | undefined;
  /**
   * True, the default for text: special tokens that are written out in it become their ids. False, the default for
   * messages, of what is said in them: they are text.
   */
  parseSpecial?: boolean | undefined;
}

/** How a text by itself becomes ids. */
export interface EncodeOptions {
  /** Begins with what the tokenizer puts before a text of its own, such as bos, unless the text itself does. Default false. */
  addSpecialTokens?: boolean | undefined;
  /** Special tokens written out in the text become their ids (true, the default), or are text as any other. */
  parseSpecial?: boolean | undefined;
  /** Text goes on from text before it: the tokenizer puts no space of its own before it. Default false. */
  continues?: boolean | undefined;
}

/** One message of a conversation; templates may look at further fields (`tool_calls`, `name`, …). */
export interface ChatMessage {
  /** Who says it: 'system', 'user', 'assistant', 'tool', or what else the template knows. */
  role: string;
  /** What is said, as text or in parts as the template takes them. */
  content?: string | readonly object[] | null;
  /** Any other field that the template looks at. */
  [field: string]: unknown;
}

/** How a conversation is rendered. */
export interface ChatOptions {
  /** Ends with what begins an assistant's message. As prompt of `generate` the default is true, elsewhere false. */
  addGenerationPrompt?: boolean;
  /** The name of one of the model's templates, or a template; by default 'tool_use' with tools, else 'default'. */
  template?: string;
  /** Functions that the assistant may call, as JSON schemas. Default: none. */
  tools?: readonly object[];
  /** Further variables of the template, such as `documents` or `enable_thinking`. Default: none. */
  variables?: Readonly<Record<string, unknown>>;
}

/** A whole conversation as a prompt. */
export interface Chat extends ChatOptions {
  /** The messages from the first one on. */
  messages: readonly ChatMessage[];
  /**
   * Special tokens that are written out in the messages, tools and variables become their ids. False, the default: they
   * are text, so that nobody can forge the template's own (but for those of an assistant's messages that the template
   * does not write itself, such as calls of tools, and those that it looks for in a message).
   */
  parseSpecial?: boolean | undefined;
}

/** Text or ids that come bit by bit. */
export type PromptStream = AsyncIterable<string | readonly number[] | Int32Array>;
