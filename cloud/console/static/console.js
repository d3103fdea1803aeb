// Detections as they come: the one thing that needs a script. Whatever a host has sent becomes a
// text node, never markup; the console's policy would refuse anything else.

"use strict";

const COLUMNS = ["time", "host", "severity", "instance", "process", "parent", "what"];
const SECONDS_END = "2024-07-19T04:09:00".length;

function cell(name, event) {
  const made = document.createElement(name === "time" ? "th" : "td");
  made.dataset.label = name[0].toUpperCase() + name.slice(1);
  let place = made;
  if (name === "host") made.className = "name-cell";
  if (name === "time") {
    made.scope = "row";
    made.className = "tight";
  } else if (name === "severity") {
    place = made.appendChild(document.createElement("span"));
    place.classList.add("severity");
    if (/^[a-z]+$/.test(event.severity)) place.classList.add(event.severity);
  } else if (name === "process" || name === "parent") {
    place = made.appendChild(document.createElement("code"));
  }
  const text = name === "what" ? `${event.what} ${event.prevention}` : String(event[name]);
  place.append(name === "time" ? text.slice(0, SECONDS_END).replace("T", " ") : text);
  if (name === "instance") {
    const title = document.createElement("small");
    title.append(event.title);
    made.append(document.createElement("br"), title);
  }
  return made;
}

function follow(table) {
  const rows = table.tBodies[0];
  const live = document.getElementById("live");
  const hold = document.getElementById("hold");
  const kept = Number(table.dataset.kept);
  let after = table.dataset.after;
  let source = null;

  function show(event) {
    const one = JSON.parse(event.data);
    after = event.lastEventId;
    const row = document.createElement("tr");
    row.className = "new";
    row.append(...COLUMNS.map((name) => cell(name, one)));
    rows.prepend(row);
    while (rows.rows.length > kept) rows.lastElementChild.remove();
    const none = document.getElementById("none");
    if (none) none.remove();
  }

  function begin() {
    source = new EventSource(`/detections/stream?after=${encodeURIComponent(after)}`);
    source.addEventListener("open", () => { live.textContent = "live"; });
    source.addEventListener("error", () => {
      live.textContent = source.readyState === EventSource.CLOSED
        ? "not live: load the page again" : "not live: asking again";
    });
    source.addEventListener("detection", show);
    source.addEventListener("missed", (event) => {
      live.textContent = `live; ${JSON.parse(event.data).count} came too fast to be shown`;
    });
    hold.textContent = "Hold";
  }

  hold.hidden = false;
  hold.addEventListener("click", () => {
    if (source) {
      source.close();
      source = null;
      live.textContent = "held";
      hold.textContent = "Go on";
    } else {
      begin();
    }
  });
  begin();
}

const table = document.getElementById("detections");
if (table) follow(table);
