// What is asked inside the page. The browser gets each function as text, so none uses anything outside itself.

/** Opens every closed <details> and returns how many there were. */
export function openDetails() {
  const closed = [...document.querySelectorAll("details:not([open])")];
  for (const details of closed) details.open = true;
  return closed.length;
}

/** Scrolls to the given screen; false when the page ends before it. */
export function showScreen(number) {
  const y = number * innerHeight;
  if (y >= document.scrollingElement.scrollHeight) return false;
  scrollTo(0, y);
  return true;
}

/** The visible pieces of text, in order, without those of controls: a control that needs scripts may be made by one. */
export function visibleText() {
  const pieces = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const parent = walker.currentNode.parentElement;
    const text = walker.currentNode.data.replace(/\s+/g, " ").trim();
    const aside = parent.closest("script, style, noscript, template, button, label, select, datalist, fieldset");
    if (text && !aside && parent.checkVisibility({ visibilityProperty: true })) pieces.push(text);
  }
  return pieces;
}

/** Addresses named by elements that load what they name, other than data: and places in this page. */
export function outsideAddresses() {
  const loads = "img, source, script, link, iframe, object, embed, video, audio, track, use, image, input[type=image]";
  const found = [];
  for (const element of document.querySelectorAll(loads)) {
    for (const name of ["src", "srcset", "href", "xlink:href", "data", "poster"]) {
      const value = element.getAttribute(name)?.trim();
      if (value && !value.startsWith("data:") && !value.startsWith("#")) {
        found.push(`<${element.localName} ${name}="${value.slice(0, 100)}">`);
      }
    }
  }
  return found;
}

/** How wide the document is, how much of that is shown, and what sticks out. */
export function measureWidth() {
  const shown = innerWidth;
  const content = document.scrollingElement.scrollWidth;
  const sticksOut = (element) => {
    if (element.getBoundingClientRect().right <= shown + 0.5) return false;
    for (let box = element.parentElement; box && box !== document.body; box = box.parentElement) {
      if (getComputedStyle(box).overflowX !== "visible") return false;
    }
    return true;
  };
  const name = (element) => {
    const classes = [...element.classList].map((one) => `.${one}`).join("");
    return element.localName + (element.id ? `#${element.id}` : "") + classes;
  };
  const culprits = content > shown ? [...document.body.querySelectorAll("*")].filter(sticksOut).slice(0, 5).map(name) : [];
  return { shown, content, height: document.scrollingElement.scrollHeight, culprits };
}

/** Boxes that show only part of their width: on paper nobody can scroll them. */
export function cutOffBoxes() {
  return [...document.body.querySelectorAll("*")]
    .filter(
      (element) =>
        element.scrollWidth > element.clientWidth + 1 &&
        element.clientWidth > 1 &&
        ["auto", "scroll", "hidden", "clip"].includes(getComputedStyle(element).overflowX),
    )
    .map((element) => `${element.localName} "${element.textContent.replace(/\s+/g, " ").trim().slice(0, 50)}"`);
}

/**
 * Remembers what the Tab key has to reach: links, summaries, controls and boxes that scroll. Returns their number.
 * `focusReached` is then called after each press, `notReached` at the end.
 */
export function expectFocus() {
  const seen = (element) => element.checkVisibility({ visibilityProperty: true });
  const controls = "a[href], summary, button, input:not([type=hidden]), select, textarea, [tabindex]";
  const wanted = new Set();
  const chromiumOnly = new Set();
  for (const element of document.querySelectorAll(controls)) {
    const plainSummary = element.localName === "summary" && element.parentElement.localName !== "details";
    if (seen(element) && !element.disabled && element.tabIndex >= 0 && !plainSummary) wanted.add(element);
  }
  for (const element of document.body.querySelectorAll("*")) {
    const style = getComputedStyle(element);
    const scrolls = (overflow) => overflow === "auto" || overflow === "scroll";
    const wide = scrolls(style.overflowX) && element.scrollWidth > element.clientWidth + 1;
    const tall = scrolls(style.overflowY) && element.scrollHeight > element.clientHeight + 1;
    if ((wide || tall) && seen(element)) {
      wanted.add(element);
      // Chromium gives the focus to such a box of itself, but not every browser does.
      if (!element.hasAttribute("tabindex") && !element.querySelector(controls)) chromiumOnly.add(element);
    }
  }
  // Also what focus was taken from by hand: a link that the mouse reaches and the keyboard does not.
  for (const element of document.querySelectorAll("a[href][tabindex^='-'], summary[tabindex^='-']")) {
    if (seen(element)) wanted.add(element);
  }
  window.expectedFocus = { wanted, chromiumOnly, reached: new Set(), first: null };
  document.activeElement?.blur();
  scrollTo(0, 0);
  return wanted.size;
}

/** Notes the element that has the focus; false when the round is over. */
export function focusReached() {
  const state = window.expectedFocus;
  const element = document.activeElement;
  if (!element || element === document.body || element === document.documentElement) return false;
  if (element === state.first) return false;
  state.first ??= element;
  state.reached.add(element);
  return true;
}

/** The elements that Tab should have reached and did not. */
export function notReached() {
  const { wanted, chromiumOnly, reached } = window.expectedFocus;
  // Radio buttons of one name are one stop. A box that scrolls is reached through anything inside it.
  const sameGroup = (a, b) => a.type === "radio" && b.type === "radio" && a.name === b.name;
  const isReached = (element) =>
    reached.has(element) ||
    [...reached].some((other) => sameGroup(element, other) || (!element.matches("a, summary") && element.contains(other)));
  return [...wanted]
    .filter((element) => chromiumOnly.has(element) || !isReached(element))
    .map((element) => `${element.localName} "${element.textContent.replace(/\s+/g, " ").trim().slice(0, 50)}"`);
}
