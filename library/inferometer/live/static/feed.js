// Asks the server for new points once per interval and keeps those that can be drawn.

const FAILURES_BEFORE_LOST = 2;

export class Feed {
  /** `changed(feed)` is called after every answer, and when the server is lost. */
  constructor(changed) {
    this.changed = changed;
    this.source = "all";
    this.points = [];
    this.about = null;
    this.failures = 0;
    this.sequence = 0;
    this.asked = 0;
  }

  get lost() {
    return this.failures >= FAILURES_BEFORE_LOST;
  }

  get intervalMs() {
    return this.about ? this.about.interval_s * 1000 : 1000;
  }

  start() {
    const again = async () => {
      await this.ask();
      setTimeout(again, this.intervalMs);
    };
    again();
  }

  choose(source) {
    this.source = source;
    this.forget();
    return this.ask();
  }

  forget() {
    this.points = [];
    this.sequence = 0;
  }

  async ask() {
    const turn = (this.asked += 1);
    try {
      const query = new URLSearchParams({ source: this.source, after: String(this.sequence) });
      const answer = await fetch(`api/points?${query}`, { cache: "no-store" });
      if (!answer.ok) throw new Error(`answered ${answer.status}`);
      const body = await answer.json();
      if (turn !== this.asked) return; // another source was chosen meanwhile
      this.take(body);
      this.failures = 0;
    } catch {
      this.failures += 1; // the status line tells; a stopped server is no fault of the page
    }
    this.changed(this);
  }

  take(body) {
    if (this.about && this.about.life !== body.life) {
      this.about = null;
      this.forget(); // the server was started anew: its numbers start anew as well
      return;
    }
    this.about = body;
    this.sequence = body.sequence;
    this.points.push(...body.points);
    this.points.splice(0, Math.max(0, this.points.length - body.points_max));
  }
}
