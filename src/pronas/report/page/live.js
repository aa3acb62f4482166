// The live page: rows come as they are committed; after a break the server goes on behind the last one received.
function connect(changed) {
  const note = el("div", { class: "connection", role: "status" });
  document.body.append(note);
  let last = "", source, timer;
  const say = (state, text) => {
    note.dataset.state = state;
    note.textContent = text;
  };
  const open = () => {
    clearTimeout(timer);
    source = new EventSource("events" + (last ? "?since=" + encodeURIComponent(last) : ""));
    source.onopen = () => say("live", "live");
    source.onmessage = (event) => {
      last = event.lastEventId;
      receive(JSON.parse(event.data));
      say("live", "live");
      changed();
    };
    source.onerror = () => {
      say("lost", "connection lost; trying again");
      if (source.readyState === EventSource.CLOSED) timer = setTimeout(open, 1000);
    };
  };
  say("lost", "connecting");
  open();
}
