// Says when studies may have changed: as the server tells it, or every half minute where it does not.

const EVENTS = ['study.created', 'study.complete', 'patient.merged', 'patient.conflicted', 'lost'];
const POLL_MS = 30_000, GATHER_MS = 1_000;

// A study comes as several events; one look is enough. Nobody looks: nothing is asked, and the connection, of which a browser
// has six, is given back.
export function live(changed: () => void, signal: AbortSignal): void {
  let source: EventSource | null = null, hasMissed = false, gathering = 0;

  const told = (): void => {
    if (gathering) return;
    gathering = setTimeout(() => {
      gathering = 0;
      changed();
    }, GATHER_MS);
  };
  const close = (): void => {
    source?.close();
    source = null;
  };
  const open = (): void => {
    close();
    source = new EventSource('api/events');
    for (const name of EVENTS) source.addEventListener(name, told);
    source.onerror = () => (hasMissed = true);
    source.onopen = () => {
      if (hasMissed) told();
      hasMissed = false;
    };
  };
  // A refusal closes for good (no plugin web-admin, too many listen); an unreachable server is asked again by the browser.
  const poll = setInterval(() => {
    if (document.hidden || source?.readyState === EventSource.OPEN) return;
    changed();
    if (source?.readyState === EventSource.CLOSED) open();
  }, POLL_MS);
  const seen = (): void => {
    if (document.hidden) {
      close();
      hasMissed = true;
    } else if (source === null) {
      open();
    }
  };
  document.addEventListener('visibilitychange', seen, { signal });
  signal.addEventListener('abort', () => {
    clearInterval(poll);
    clearTimeout(gathering);
    close();
  });
  seen();
}
