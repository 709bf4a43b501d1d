/** Templates come with models from anywhere: what one may take. */
export const TEMPLATE_LIMITS = {
  source: 2 ** 18, // characters of a template
  characters: 2 ** 23, // of a text that it makes, and values of a list
  range: 100_000, // as jinja2's sandbox has it
  steps: 1_000_000, // expressions, statements, rounds of loops and values that a filter looks at
  depth: 400, // of expressions, statements, macros and values in each other
  milliseconds: 10_000, // for all, whatever they do
} as const;

/** A template went beyond a limit. */
export class TemplateLimit extends Error {}

/** Counts what a template does. */
export class Meter {
  private readonly deadline = performance.now() + TEMPLATE_LIMITS.milliseconds;
  private steps = 0;
  private depth = 0;

  /** @throws TemplateLimit */
  spend(steps: number): void {
    const before = this.steps;
    this.steps += steps;
    if (this.steps > TEMPLATE_LIMITS.steps)
      throw new TemplateLimit(`it takes more than ${TEMPLATE_LIMITS.steps} steps`);
    if (before >> 8 !== this.steps >> 8 && performance.now() > this.deadline)
      throw new TemplateLimit(`it takes longer than ${TEMPLATE_LIMITS.milliseconds / 1000} s`);
  }

  /** Something of so many characters or values is about to be made. @throws TemplateLimit */
  make(size: number): void {
    if (size > TEMPLATE_LIMITS.characters)
      throw new TemplateLimit(`it makes more than ${TEMPLATE_LIMITS.characters} characters or values`);
  }

  /** Runs something that lies in something else. @throws TemplateLimit */
  within<T>(run: () => T): T {
    if (this.depth >= TEMPLATE_LIMITS.depth)
      throw new TemplateLimit(`it nests more than ${TEMPLATE_LIMITS.depth} deep`);
    this.depth++;
    try {
      return run();
    } finally {
      this.depth--;
    }
  }
}
