// Node and its kin. Their message ports take up to 1,000 messages in one turn: a channel to oneself would keep the
// messages of others waiting for as many steps.
const { setImmediate } = globalThis as { setImmediate?: (run: () => void) => unknown };

/** Waits for turns of the event loop: microseconds, where `setTimeout` would take milliseconds. */
export class EventLoop {
  private channel: MessageChannel | null = null;
  private waiting: (() => void)[] = [];

  /** Resolves when what was waiting in the event loop has had its turn. */
  turn(): Promise<void> {
    if (setImmediate) return new Promise((resolve) => setImmediate(resolve));
    this.channel ??= this.open();
    return new Promise((resolve) => {
      this.waiting.push(resolve);
      this.channel!.port2.postMessage(null);
    });
  }

  /** Frees the channel until the next turn: an open one keeps some runtimes from ending. */
  rest(): void {
    this.channel?.port1.close();
    this.channel = null;
  }

  private open(): MessageChannel {
    const channel = new MessageChannel();
    channel.port1.onmessage = () => this.waiting.shift()?.();
    return channel;
  }
}
