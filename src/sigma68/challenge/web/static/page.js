// What the pages do beyond HTML: fragments that renew themselves, and uploads that show how far
// they are. Every page works without it.
//   data-get="/address" data-every="2"    every 2 s the element is replaced by what is there, until
//                                         that has no data-get any more
//   form[data-upload]                     shows the progress of the upload in its <progress>
//   button[data-ask="Really?"]            asks first
(() => {
  "use strict";

  function keepPlace(element) {
    const log = element.querySelector("[data-tail]");
    const focused = element.contains(document.activeElement) ? document.activeElement.id : "";
    const atEnd = !log || log.scrollTop + log.clientHeight >= log.scrollHeight - 8;
    const top = log ? log.scrollTop : 0;
    const open = [...element.querySelectorAll("details[id][open]")].map((one) => one.id);
    return (fresh) => {
      open.forEach((id) => fresh.querySelector(`#${CSS.escape(id)}`)?.setAttribute("open", ""));
      const again = fresh.querySelector("[data-tail]");
      if (again) again.scrollTop = atEnd ? again.scrollHeight : top;
      if (focused) fresh.querySelector(`#${CSS.escape(focused)}`)?.focus();
    };
  }

  async function renew(element) {
    let fresh = element;
    try {
      if (!document.hidden) {
        const answer = await fetch(element.dataset.get, { credentials: "same-origin" });
        if (answer.redirected || answer.status === 404) return location.reload();
        if (answer.ok) {
          const parsed = new DOMParser().parseFromString(await answer.text(), "text/html");
          const next = parsed.body.firstElementChild;
          if (next) {
            const restore = keepPlace(element);
            fresh = document.importNode(next, true);
            element.replaceWith(fresh);
            restore(fresh);
            announce(element, fresh);
          }
        }
      }
    } catch {
      // The server may be away for a moment: the next try finds out.
    }
    if (fresh.dataset.get) watch(fresh);
  }

  // Whoever listens hears the state when it changes, not every two seconds.
  function announce(before, after) {
    const voice = document.getElementById("voice");
    if (voice && before.dataset.state !== after.dataset.state) voice.textContent = after.dataset.state;
  }

  function watch(element) {
    setTimeout(() => renew(element), 1000 * Number(element.dataset.every || 2));
  }

  function upload(form) {
    const bar = form.querySelector("progress");
    const words = form.querySelector("[data-words]");
    const button = form.querySelector("button");
    const request = new XMLHttpRequest();
    request.open("POST", form.action);
    request.upload.onprogress = (event) => {
      if (!event.lengthComputable) return;
      bar.value = event.loaded / event.total;
      words.textContent = event.loaded < event.total
        ? `Uploading: ${Math.floor((100 * event.loaded) / event.total)}%` : "Checking the zip …";
    };
    request.onload = () => {
      if (request.status < 400) return location.assign(request.responseURL);
      const parsed = new DOMParser().parseFromString(request.responseText, "text/html");
      const told = parsed.querySelector("[role=alert]");
      fail(told ? told.textContent.trim() : request.responseText.slice(0, 300));
    };
    request.onerror = () => fail("The connection broke: try again.");
    function fail(sentence) {
      words.textContent = sentence;
      words.classList.add("wrong");
      bar.hidden = true;
      button.disabled = false;
    }
    words.classList.remove("wrong");
    bar.hidden = false;
    button.disabled = true;
    request.send(new FormData(form));
  }

  document.addEventListener("submit", (event) => {
    const question = event.submitter?.dataset.ask;
    if (question && !confirm(question)) return event.preventDefault();
    if (event.target.matches("form[data-upload]")) {
      event.preventDefault();
      upload(event.target);
    }
  });
  document.querySelectorAll("[data-get]").forEach(watch);
  document.querySelectorAll("[data-tail]").forEach((log) => { log.scrollTop = log.scrollHeight; });
})();
