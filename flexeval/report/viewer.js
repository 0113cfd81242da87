// The decode viewer. Reads the JSON in #decode-data (flexeval/report/decodes.py says what is in it) and fills #viewer.
// Texts of models reach the page through textContent alone. No network, no storage, no globals.
"use strict";
(() => {
  const DATA = JSON.parse(document.getElementById("decode-data").textContent);
  const VIRIDIS = [[68, 1, 84], [72, 40, 120], [62, 74, 137], [49, 104, 142], [38, 130, 142],
    [31, 158, 137], [53, 183, 121], [110, 206, 88], [181, 222, 43], [253, 231, 37]];
  const MASK = "░";
  const byId = (id) => document.getElementById(id);
  const viewer = byId("viewer");
  const panes = [...viewer.querySelectorAll(".pane")].map((pane) => ({
    pane,
    run: pane.querySelector(".run"),
    verdict: pane.querySelector(".verdict"),
    answer: pane.querySelector(".answer"),
    rest: pane.querySelector(".rest"),
    tokens: [], // of the sample that the pane shows, one a generated position that was committed
    spans: [],
  }));
  let clock = 0; // steps done: a token shows when its commit step is below it
  let last = 0; // the clock at which every pane is finished
  let timer = null;
  let told = null; // the token whose facts are shown: its pane, its place, and what stood there

  // ----- data -----

  const task = () => DATA.tasks[byId("task").value];
  const colouring = () => viewer.querySelector("input[name=colour]:checked").value;

  /** A column that is mostly empty: [position, value, position, value, ...]. */
  const sparse = (pairs) => {
    const found = new Map();
    for (let i = 0; i < pairs.length; i += 2) found.set(pairs[i], pairs[i + 1]);
    return found;
  };

  /** What stood at each position before it was taken back, oldest first. */
  const livesOf = (run, flat) => {
    const found = new Map();
    for (let i = 0; i < flat.length; i += 6) {
      const [position, step, until, piece, entropy, prob] = flat.slice(i, i + 6);
      const life = {step, until, piece: run.pieces[piece], entropy: entropy / DATA.nat, prob: prob / DATA.certain};
      found.set(position, [...(found.get(position) ?? []), life]);
    }
    return found;
  };

  /** The tokens of a sample; null where a position was left a mask. */
  const tokensOf = (run, sample) => {
    const lives = livesOf(run, sample.lives ?? []);
    const ranks = sparse(sample.rank);
    const passes = sparse(sample.passes);
    const steps = sparse(sample.frontier_step);
    const entropies = sparse(sample.frontier_entropy);
    const share = (value, unit) => (value === null || value === undefined ? null : value / unit);
    return sample.step.map((step, position) => step < 0 ? null : {
      position,
      step,
      piece: run.pieces[sample.piece[position]],
      inText: position < sample.length,
      entropy: share(sample.entropy[position], DATA.nat),
      eligible: share(sample.eligible_entropy[position], DATA.nat),
      prob: share(sample.prob[position], DATA.certain),
      rank: ranks.get(position) ?? 0,
      passes: passes.get(position) ?? 0,
      frontierStep: steps.get(position) ?? null,
      frontierEntropy: share(entropies.get(position), DATA.nat),
      lives: lives.get(position) ?? [],
    });
  };

  // ----- colour -----

  const viridis = (part) => {
    const place = Math.min(Math.max(part, 0), 1) * (VIRIDIS.length - 1);
    const below = Math.min(Math.floor(place), VIRIDIS.length - 2);
    return VIRIDIS[below].map((low, i) => Math.round(low + (place - below) * (VIRIDIS[below + 1][i] - low)));
  };

  /** White or black, whichever stands out more (WCAG's relative luminance). */
  const inkOn = (colour) => {
    const [red, green, blue] = colour.map((part) => {
      const value = part / 255;
      return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.179 ? "#000" : "#fff";
  };

  const css = (colour) => `rgb(${colour.join(", ")})`;

  /** The largest value of the scale, over all panes, so that colours compare. */
  const highest = () => {
    const shown = panes.flatMap((pane) => pane.tokens.filter(Boolean).flatMap((token) => [token, ...token.lives]));
    const values = shown.map((token) => token[colouring()]);
    return Math.max(...values, 0);
  };

  const showScale = () => {
    const high = highest();
    const stops = [...Array(VIRIDIS.length).keys()].map((i) => css(viridis(i / (VIRIDIS.length - 1))));
    byId("ramp").style.backgroundImage = `linear-gradient(to right, ${stops.join(", ")})`;
    byId("low").textContent = "0";
    byId("high").textContent = colouring() === "step" ? String(high) : `${high.toFixed(2)} nats`;
    byId("scale").setAttribute(
      "aria-label", `Colour scale: ${colouring() === "step" ? "commit step" : "entropy at commit"}, `
        + `0 dark blue to ${byId("high").textContent} yellow`);
  };

  // ----- one sample -----

  /** Layout stays put while the masks fill: a mask is as wide as its token, and breaks the line where it will. */
  const maskFor = (piece) => piece === "" ? MASK : piece.replace(/[^\s]/gu, MASK).replace(/^(\s+)$/u, `${MASK}$1`);

  const spanOf = (token, index, pane, blockLength) => {
    const span = document.createElement("span");
    span.className = "token";
    span.dataset.position = index;
    span.tabIndex = index === 0 ? 0 : -1;
    span.addEventListener("mouseenter", () => showFacts(pane, index));
    span.addEventListener("focus", () => {
      for (const other of pane.spans) other.tabIndex = -1;
      span.tabIndex = 0;
      showFacts(pane, index);
    });
    if (token !== null) {
      span.classList.toggle("bypassed", token.passes > 0);
      span.classList.toggle("after", !token.inText);
      span.classList.toggle("empty", token.piece === "");
      span.classList.toggle("newline", /^\s*\n\s*$/.test(token.piece));
    }
    span.classList.toggle("block", index > 0 && index % blockLength === 0);
    return span;
  };

  /** A text in line, or folded away where it is a program or as long as one. */
  const said = (name, text) => {
    const long = text.length > 60 || text.includes("\n");
    const shown = document.createElement(long ? "pre" : "bdi");
    shown.textContent = text;
    if (!long) return [` · ${name} `, shown];
    const folded = document.createElement("details");
    const summary = document.createElement("summary");
    summary.textContent = name;
    folded.append(summary, shown);
    return [folded];
  };

  const showVerdict = (pane, sample, target) => {
    const marks = Object.entries(sample.verdicts).flatMap(([name, holds], i) => {
      const mark = document.createElement("strong");
      mark.className = holds ? "correct" : "wrong";
      mark.textContent = holds ? `✓ ${name}` : name === "correct" ? "✗ wrong" : `✗ not ${name}`;
      return i === 0 ? [mark] : [" · ", mark];
    });
    const parts = [...marks, ` · NFE ${sample.nfe}`,
      ...(sample.extracted === null ? [" · no answer found"] : said("answer", sample.extracted)),
      ...said("target", target),
      ...(sample.error === null ? [] : said("error", sample.error))];
    const folded = (part) => part instanceof Element && part.tagName === "DETAILS";
    pane.verdict.replaceChildren(...parts.filter((part) => !folded(part)), ...parts.filter(folded));
  };

  const showPane = (pane) => {
    const {problems, runs} = task();
    const problem = Number(byId("problem").value);
    const run = runs[pane.run.value];
    const index = Number(byId("sample").value);
    const sample = run?.samples.find((one) => one.problem === problem && one.sample === index);
    pane.tokens = sample ? tokensOf(run, sample) : [];
    pane.pane.classList.toggle("off", !run);
    if (!sample) {
      pane.spans = [];
      pane.verdict.replaceChildren(run ? `This run has no sample ${index} of this problem on this page.` : "");
      pane.answer.replaceChildren();
      pane.rest.textContent = "";
      return;
    }
    pane.spans = pane.tokens.map((token, i) => spanOf(token, i, pane, run.block_length));
    pane.answer.replaceChildren(...pane.spans);
    pane.answer.setAttribute("aria-label", `Answer of ${run.label}: ${pane.tokens.length} positions`);
    const never = run.gen_length - pane.tokens.length;
    pane.rest.textContent = `${sample.length} tokens in the text of ${run.gen_length} positions, blocks of ${run.block_length}`
      + (never > 0 ? `; the last ${never} were never decided` : "");
    showVerdict(pane, sample, problems[problem].target);
  };

  const showSample = () => {
    const problem = task().problems[byId("problem").value];
    byId("question").textContent = problem.question;
    byId("question").classList.toggle("program", /\n\s{2,}\S/.test(problem.question));
    for (const pane of panes) showPane(pane);
    last = Math.max(...panes.flatMap((pane) => pane.tokens.filter(Boolean).map((token) => token.step + 1)), 0);
    byId("clock").max = last;
    byId("facts").replaceChildren();
    told = null;
    showScale();
    goTo(last);
  };

  // ----- the clock -----

  /** What stands at a position: the token, one that is taken back later, or null for a mask. */
  const standing = (token) => {
    if (token === null) return null;
    if (token.step < clock) return token;
    return token.lives.find((life) => life.step < clock && clock <= life.until) ?? null;
  };

  const isMask = (token) => standing(token) === null;

  const showTokens = (pane, high) => {
    const going = pane.tokens.some((token) => token !== null && isMask(token));
    const frontier = going ? pane.tokens.findIndex(isMask) : -1; // what is left at the end was never decided
    pane.tokens.forEach((token, i) => {
      const span = pane.spans[i];
      const now = standing(token);
      const shown = now !== null;
      span.classList.toggle("mask", !shown);
      span.classList.toggle("fresh", shown && now.step === clock - 1 && clock < last);
      span.classList.toggle("revised", token !== null && token.lives.some((life) => life.until === clock - 1));
      span.classList.toggle("frontier", i === frontier);
      const text = shown ? now.piece : maskFor(token === null ? "" : token.piece);
      if (span.textContent !== text) span.textContent = text;
      const colour = shown ? viridis(high > 0 ? now[colouring()] / high : 0) : null;
      span.style.backgroundColor = colour ? css(colour) : "";
      span.style.color = colour ? inkOn(colour) : "";
    });
  };

  const goTo = (time) => {
    clock = Math.min(Math.max(time, 0), last);
    viewer.dataset.clock = clock;
    byId("clock").value = clock;
    byId("time").textContent = `step ${clock} of ${last}`;
    const high = highest();
    for (const pane of panes) showTokens(pane, high);
    if (told !== null && told.now !== standing(told.pane.tokens[told.index])) showFacts(told.pane, told.index);
    if (clock === last) pause();
  };

  const pause = () => {
    clearInterval(timer);
    timer = null;
    viewer.classList.remove("playing");
    byId("play").setAttribute("aria-label", "Play");
    byId("time").setAttribute("aria-live", "polite");
  };

  const play = () => {
    if (clock === last) goTo(0);
    clearInterval(timer);
    timer = setInterval(() => goTo(clock + 1), 1000 / Number(byId("speed").value));
    viewer.classList.add("playing");
    byId("play").setAttribute("aria-label", "Pause");
    byId("time").setAttribute("aria-live", "off"); // a screen reader could not keep up
  };

  const playOrPause = () => (timer === null ? play() : pause());

  /** A step by hand stops the playback. */
  const jump = (time) => {
    pause();
    goTo(time);
  };

  // ----- one token -----

  const showFacts = (pane, index) => {
    const token = pane.tokens[index];
    const nats = (value) => (value === null ? "not computed" : `${value.toFixed(3)} nats`);
    const written = (piece) => JSON.stringify(piece).replace(
      /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (char) => `\\u${char.codePointAt(0).toString(16).padStart(4, "0")}`);
    const run = task().runs[pane.run.value].label;
    const now = standing(token);
    const mask = now === null;
    const facts = now ?? token; // of a mask, those of the commit to come
    told = {pane, index, now};
    const rows = token === null
      ? [["Run", run], ["Position", index], ["Token", "never decided"]]
      : [
        ["Run", run],
        ["Position", index],
        ["Token", mask ? "still a mask" : facts.piece === "" && !token.inText ? "end of the text" : written(facts.piece)],
        ["Commit step", facts.step],
        ...(facts.until === undefined ? [] : [["Taken back", `at step ${facts.until}`]]),
        ...(token.lives.length === 0 ? [] : [["Tokens taken back here", token.lives.length]]),
        ["Entropy at commit", nats(facts.entropy)],
        ["Entropy when eligible", nats(token.eligible)],
        ["Became the frontier", token.frontierStep === null ? "never" : `at step ${token.frontierStep}`],
        ["Entropy at the frontier", token.frontierStep === null ? "–" : nats(token.frontierEntropy)],
        ["Probability", facts.prob.toFixed(4)],
        ...(facts === token ? [["Rank", token.rank === 0 ? "0, the likeliest" : token.rank]] : []),
        ["Passed over", token.passes === 1 ? "once" : `${token.passes} times`],
      ];
    byId("facts").replaceChildren(...rows.map(([name, value]) => {
      const row = document.createElement("div");
      const term = document.createElement("dt");
      const fact = document.createElement("dd");
      term.textContent = name;
      fact.textContent = value;
      row.append(term, fact);
      return row;
    }));
  };

  const focusToken = (span, by) => {
    const pane = panes.find((one) => one.spans.includes(span));
    pane.spans[pane.spans.indexOf(span) + by]?.focus();
  };

  // ----- choices -----

  const options = (select, entries) => {
    select.replaceChildren(...entries.map(([value, text]) => {
      const option = document.createElement("option");
      option.value = value;
      option.textContent = text;
      return option;
    }));
  };

  const shortened = (text) => (text.length > 72 ? `${text.slice(0, 70)}…` : text);

  const chosenRuns = () => panes.map((pane) => task().runs[pane.run.value]).filter(Boolean);

  /** What the samples of the chosen runs may be narrowed to: [name, whether a sample belongs to it]. */
  const kinds = () => {
    const names = new Set(chosenRuns().flatMap((run) => run.samples.flatMap((one) => Object.keys(one.verdicts))));
    const is = (name) => (sample) => sample.verdicts[name] === true;
    const isNot = (name) => (sample) => sample.verdicts[name] === false;
    const own = [...names].filter((name) => name !== "correct");
    return [
      ["all", () => true],
      ["correct", is("correct")],
      ["wrong", isNot("correct")],
      ...own.flatMap((name) => [
        [name, is(name)],
        [`not ${name}`, isNot(name)],
        [`correct, not ${name}`, (sample) => is("correct")(sample) && isNot(name)(sample)],
      ]),
    ];
  };

  /** Samples of the chosen runs that are of the chosen kind. */
  const narrowed = () => {
    const [, belongs] = kinds().find(([name]) => name === byId("kind").value);
    return chosenRuns().flatMap((run) => run.samples.filter(belongs));
  };

  const keepChoice = (select, entries) => {
    const before = select.value;
    options(select, entries);
    if (before !== "" && entries.some(([value]) => String(value) === before)) select.value = before;
  };

  const fillKinds = () => {
    const samples = chosenRuns().flatMap((run) => run.samples);
    const counted = kinds().map(([name, belongs]) => [name, samples.filter(belongs).length]);
    const some = counted.filter(([name, number]) => name === "all" || number > 0);
    keepChoice(byId("kind"), some.map(([name, number]) => [name, `${name} (${number})`]));
    fillProblems();
  };

  const fillProblems = () => {
    const {problems} = task();
    const having = new Set(narrowed().map((sample) => sample.problem));
    const all = byId("kind").value === "all"; // also problems of which the chosen runs have no sample
    const entries = problems.map((problem, i) => [i, shortened(`${problem.id}: ${problem.question}`)]);
    keepChoice(byId("problem"), entries.filter(([i]) => all || having.has(i)));
    fillSamples();
  };

  const fillSamples = () => {
    const problem = Number(byId("problem").value);
    const chosen = chosenRuns();
    const found = narrowed().filter((one) => one.problem === problem).map((one) => one.sample);
    const verdict = (run, index) => {
      const sample = run.samples.find((one) => one.problem === problem && one.sample === index);
      return `${run.label} ${sample ? (sample.verdicts.correct ? "✓" : "✗") : "–"}`;
    };
    const samples = [...new Set(found)].sort((a, b) => a - b);
    keepChoice(
      byId("sample"), samples.map((index) => [index, `${index}: ${chosen.map((run) => verdict(run, index)).join(", ")}`]));
    showSample();
  };

  const fillTask = () => {
    const {runs} = task();
    byId("problem").replaceChildren(); // the places of another task's problems
    const labels = runs.map((run, i) => [i, run.label]);
    options(panes[0].run, labels);
    options(panes[1].run, [["", "nothing"], ...labels]);
    panes[1].run.value = runs.length > 1 ? 1 : "";
    panes[1].pane.hidden = runs.length < 2;
    fillKinds();
  };

  // ----- what the user does -----

  byId("task").addEventListener("change", fillTask);
  byId("kind").addEventListener("change", fillProblems);
  byId("problem").addEventListener("change", fillSamples);
  byId("sample").addEventListener("change", showSample);
  for (const pane of panes) pane.run.addEventListener("change", fillKinds);
  for (const radio of viewer.querySelectorAll("input[name=colour]")) {
    radio.addEventListener("change", () => {
      showScale();
      goTo(clock);
    });
  }
  byId("start").addEventListener("click", () => jump(0));
  byId("back").addEventListener("click", () => jump(clock - 1));
  byId("play").addEventListener("click", playOrPause);
  byId("forward").addEventListener("click", () => jump(clock + 1));
  byId("end").addEventListener("click", () => jump(last));
  byId("clock").addEventListener("input", () => jump(Number(byId("clock").value)));
  byId("speed").addEventListener("change", () => timer !== null && play());

  viewer.addEventListener("keydown", (event) => {
    const {target, key} = event;
    const own = target.closest("select, input[type=radio], summary");
    if (own || event.ctrlKey || event.metaKey || event.altKey || (key === " " && target.closest("button"))) return;
    const token = target.closest(".pane .token");
    const actions = {
      " ": playOrPause,
      ArrowLeft: () => jump(clock - 1),
      ArrowRight: () => jump(clock + 1),
      Home: () => jump(0),
      End: () => jump(last),
      ...(token && {ArrowUp: () => focusToken(token, -1), ArrowDown: () => focusToken(token, 1)}),
    };
    if (!(key in actions)) return;
    event.preventDefault();
    actions[key]();
  });

  options(byId("task"), DATA.tasks.map((one, i) => [i, one.name]));
  byId("task").parentElement.hidden = DATA.tasks.length < 2;
  viewer.hidden = false;
  fillTask();
})();
