// The stream of the registry: opened, read, and opened again whenever it ends.
//
// It is read by `fetch` and not by an EventSource, which could not send a token.

const SILENCE_MS = 25_000; // The registry sends something every 10 s.
const FIRST_PAUSE_MS = 300;
const LONGEST_PAUSE_MS = 8_000;
const HIDDEN_MS = 60_000; // A page hidden for this long disconnects.
const TOKEN = "beamline-registry-token";

/** A request with the token, where there is one. */
export function ask(path, signal) {
  const token = sessionStorage.getItem(TOKEN);
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  return fetch(path, { headers, signal, cache: "no-store" });
}

/** Whether a token was given that may have been refused now. */
export const hasToken = () => sessionStorage.getItem(TOKEN) !== null;

export const keepToken = (token) => sessionStorage.setItem(TOKEN, token);

export class Feed {
  #hear;
  #tell;
  #wantToken;
  #wake = () => {};
  #abort = new AbortController();
  #asleep = false;

  /** `hear(kind, data)` takes messages, `tell(state, why)` the state of the link: `live`, `away`
   *  or `asleep`; `wantToken()` resolves when there is another token. */
  constructor(hear, tell, wantToken) {
    this.#hear = hear;
    this.#tell = tell;
    this.#wantToken = wantToken;
    let timer;
    document.addEventListener("visibilitychange", () => {
      clearTimeout(timer);
      if (document.hidden) timer = setTimeout(() => this.#sleep(true), HIDDEN_MS);
      else this.#sleep(false);
    });
    addEventListener("online", () => this.#wake());
  }

  /** Follows the stream for as long as the page is open. */
  async follow() {
    let pause = FIRST_PAUSE_MS;
    for (;;) {
      if (this.#asleep) {
        this.#tell("asleep", "paused while the page was hidden");
        await new Promise((wake) => (this.#wake = wake));
        pause = FIRST_PAUSE_MS;
      }
      const why = await this.#once(() => (pause = FIRST_PAUSE_MS));
      if (this.#asleep) continue;
      if (why === "token") {
        this.#tell("away", "a token is needed");
        await this.#wantToken();
        continue;
      }
      this.#tell("away", why);
      // Apart from each other, so that a registry that comes back is not asked by all at once.
      const wait = pause * (0.75 + Math.random() / 2);
      await Promise.race([
        new Promise((go) => setTimeout(go, wait)),
        new Promise((wake) => (this.#wake = wake)),
      ]);
      pause = Math.min(pause * 2, LONGEST_PAUSE_MS);
    }
  }

  /** One connection, to its end; why it ended. */
  async #once(arrived) {
    const abort = (this.#abort = new AbortController());
    let watchdog;
    const alive = () => {
      clearTimeout(watchdog);
      watchdog = setTimeout(() => abort.abort(), SILENCE_MS);
    };
    try {
      alive();
      const answer = await ask("live", abort.signal);
      if (answer.status === 401 || answer.status === 403) return "token";
      if (answer.status === 503) return "too many pages are open";
      if (!answer.ok) return `the registry answered ${answer.status}`;
      const text = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      let rest = "";
      for (;;) {
        const { value, done } = await text.read();
        if (done) return "the registry closed the connection";
        alive();
        const messages = (rest + value).split("\n\n");
        rest = messages.pop();
        for (const message of messages) this.#take(message, arrived);
      }
    } catch {
      return "the registry does not answer";
    } finally {
      clearTimeout(watchdog);
    }
  }

  #take(message, arrived) {
    const [kind, data] = ["event: ", "data: "].map((name) =>
      message.split("\n").find((line) => line.startsWith(name))?.slice(name.length));
    if (!kind || !data) return; // A comment, to show that it is there.
    this.#hear(kind, JSON.parse(data));
    if (kind === "ready") {
      arrived();
      this.#tell("live");
    }
  }

  #sleep(asleep) {
    this.#asleep = asleep;
    if (asleep) this.#abort.abort();
    else this.#wake();
  }
}
