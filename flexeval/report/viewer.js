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
    chart: pane.querySelector(".chart"),
    rest: pane.querySelector(".rest"),
    tokens: [], // of the sample that the pane shows, one a generated position that was committed
    spans: [],
    bars: [], // of the chart, one a position
  }));
  let clock = 0; // steps done: a token shows when its commit step is below it
  let last = 0; // the clock at which every pane is finished
  let timer = null;
  let told = null; // the token whose facts are shown: its pane, its place, and what stood there
  let word = null; // the word that samples are narrowed to, when a figure led here
  const STILL = matchMedia("(prefers-reduced-motion: reduce)").matches;

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

  const spanOf = (token, index, pane, starts) => {
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
    span.classList.toggle("block", index > 0 && starts.includes(index));
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

  const SVG = "http://www.w3.org/2000/svg";
  const svg = (name, attributes) => {
    const made = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    return made;
  };

  /** Entropy at commit by position: a click goes to the step that committed it. */
  const showChart = (pane) => {
    const most = Math.max(...panes.flatMap((one) => one.tokens.filter(Boolean).map((token) => token.entropy ?? 0)), 0.01);
    const size = pane.tokens.length;
    const chart = svg("svg", {viewBox: `0 0 ${Math.max(size, 1)} 1`, preserveAspectRatio: "none", role: "img",
      "aria-label": `Entropy at commit of ${size} positions, up to ${most.toFixed(2)} nats`});
    pane.bars = pane.tokens.map((token, i) => {
      const height = Math.max((token?.entropy ?? 0) / most, 0.02);
      const bar = svg("rect", {x: i + 0.08, width: 0.84, y: 1 - height, height});
      const target = svg("rect", {x: i, width: 1, y: 0, height: 1, class: "target"});
      target.addEventListener("mouseenter", () => showFacts(pane, i));
      target.addEventListener("click", () => token !== null && jump(token.step + 1));
      chart.append(bar, target);
      return bar;
    });
    const about = document.createElement("p");
    about.textContent = `Entropy at commit by position, up to ${most.toFixed(2)} nats. Click: go to that step.`;
    pane.chart.replaceChildren(chart, about);
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
      pane.bars = [];
      pane.chart.replaceChildren();
      pane.verdict.replaceChildren(run ? `This run has no sample ${index} of this problem on this page.` : "");
      pane.answer.replaceChildren();
      pane.rest.textContent = "";
      return;
    }
    const starts = run.starts[run.starts_of[problem]];
    pane.spans = pane.tokens.map((token, i) => spanOf(token, i, pane, starts));
    pane.answer.replaceChildren(...pane.spans);
    showChart(pane);
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
    for (const pane of panes.filter((one) => one.spans.length > 0)) showChart(pane); // by the scale of both
    markWord();
    const here = walkable();
    const at = here.findIndex(isShown);
    byId("place").textContent = here.length === 0 ? "none" : `${at + 1} of ${here.length}`;
    byId("done").textContent = "";
    last = Math.max(...panes.flatMap((pane) => pane.tokens.filter(Boolean).map((token) => token.step + 1)), 0);
    byId("clock").max = last;
    byId("facts").replaceChildren();
    told = null;
    showScale();
    pause();
    goTo(last);
    remember();
  };

  /** Outline the word that a figure led to. */
  const markWord = () => {
    if (word === null) return;
    for (const pane of panes) {
      const run = task().runs[pane.run.value];
      const place = run?.samples.findIndex((one) => isOf(one, current()));
      const places = run?.words[word] ?? [];
      for (let i = 0; i < places.length; i += 2) {
        if (places[i] === place) pane.spans[places[i + 1]]?.classList.add("sought");
      }
    }
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
      pane.bars[i].setAttribute("class", shown ? "bar" : "bar to-come");
      pane.bars[i].style.fill = colour ? css(colour) : "";
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
    if (timer === null) remember();
  };

  const pause = () => {
    clearInterval(timer);
    timer = null;
    waiting?.disconnect();
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

  let waiting = null;

  /** Play from the start once the viewer is in sight; where motion is not wanted, show the finished answers. */
  const playInSight = () => {
    if (STILL) return;
    goTo(0);
    waiting?.disconnect();
    waiting = new IntersectionObserver((seen) => {
      if (!seen.some((one) => one.isIntersecting)) return;
      waiting.disconnect();
      play();
    }, {threshold: 0.3});
    waiting.observe(viewer.querySelector(".panes"));
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

  /** What is shown: a place in problems, and the number of a sample. */
  const current = () => ({problem: Number(byId("problem").value), sample: Number(byId("sample").value)});
  const isOf = (sample, {problem, sample: index}) => sample.problem === problem && sample.sample === index;
  const isShown = (pair) => byId("sample").value !== "" && pair.problem === current().problem && pair.sample === current().sample;

  /** Problem and sample, and what each chosen run made of it (undefined where it has none), in the task's order. */
  const pairs = () => {
    const found = new Map();
    const runs = chosenRuns();
    const none = () => runs.map(() => undefined);
    runs.forEach((run, side) => run.samples.forEach((sample, place) => {
      const key = `${sample.problem}/${sample.sample}`;
      if (!found.has(key)) found.set(key, {problem: sample.problem, sample: sample.sample, of: none(), places: none()});
      found.get(key).of[side] = sample;
      found.get(key).places[side] = place;
    }));
    return [...found.values()].sort((a, b) => a.problem - b.problem || a.sample - b.sample);
  };

  const right = (pair, side) => pair.of[side]?.counts === true;
  const differ = (pair) => pair.of[0] !== undefined && pair.of[1] !== undefined && right(pair, 0) !== right(pair, 1);

  /** n samples and c that count, of a problem in a run. */
  const tally = (run, problem) => [run.tally[2 * problem], run.tally[2 * problem + 1]];
  const solves = (run, problem) => tally(run, problem)[1] > 0;

  /** Whether a sample has the word; of a word that a figure led to. */
  const having = (wanted) => {
    const places = chosenRuns().map((run) => new Set((run.words[wanted] ?? []).filter((_, i) => i % 2 === 0)));
    return (pair) => pair.places.some((place, side) => places[side].has(place));
  };

  /** What the samples of the chosen runs may be narrowed to: [value, name, whether a pair belongs to it]. */
  const kinds = () => {
    const [a, b] = chosenRuns();
    const names = new Set(chosenRuns().flatMap((run) => run.samples.flatMap((one) => Object.keys(one.verdicts))));
    const own = [...names].filter((name) => name !== "correct");
    const some = (test) => (pair) => pair.of.some((sample) => sample !== undefined && test(sample.verdicts));
    const only = (i) => (pair) => right(pair, i) && differ(pair);
    const solved = (one, other) => (pair) => solves(one, pair.problem) && !solves(other, pair.problem);
    const ofTwo = () => [
      ["only-a", `only ${a.label} right`, only(0)],
      ["only-b", `only ${b.label} right`, only(1)],
      ["both", "both right", (pair) => right(pair, 0) && right(pair, 1)],
      ["neither", "neither right", (pair) => !right(pair, 0) && !right(pair, 1)],
      ["solved-a", `problems that only ${a.label} solves`, solved(a, b)],
      ["solved-b", `problems that only ${b.label} solves`, solved(b, a)],
    ];
    const ofOne = () => [
      ["right", "right", (pair) => right(pair, 0)],
      ["wrong", "wrong", (pair) => !right(pair, 0)],
    ];
    return [
      ["all", "all", () => true],
      ...(b ? ofTwo() : ofOne()),
      ...own.flatMap((name) => [
        [`is-${name}`, name, some((verdicts) => verdicts[name] === true)],
        [`not-${name}`, `correct, not ${name}`, some((verdicts) => verdicts.correct && verdicts[name] === false)],
      ]),
      ...(word === null ? [] : [["word", `with “${word}”`, having(word)]]),
    ];
  };

  const longestBypass = (pair) => Math.max(...pair.of.map((sample) => {
    let most = 0;
    for (let i = 0; i < (sample?.passes.length ?? 0); i += 2) {
      if (sample.passes[i] < sample.length) most = Math.max(most, sample.passes[i + 1]);
    }
    return most;
  }), 0);

  /** The pairs of the chosen kind, in the chosen order. */
  const walkable = () => {
    const [, , belongs] = kinds().find(([value]) => value === byId("kind").value) ?? kinds()[0];
    const found = pairs().filter(belongs);
    if (byId("sort").value === "task") return found;
    const longest = new Map(found.map((pair) => [pair, longestBypass(pair)]));
    return found.sort((one, other) => longest.get(other) - longest.get(one));
  };

  const show = (pair) => {
    byId("problem").value = pair.problem;
    fillSamples(pair.sample);
  };

  /** The next or previous pair of a list, from the one that is shown, round the end. */
  const walk = (list, by) => {
    if (list.length === 0) return;
    const at = list.findIndex(isShown);
    show(list[at < 0 ? (by > 0 ? 0 : list.length - 1) : (at + by + list.length) % list.length]);
  };

  /** The next or previous sample that only one of the two has right, in the task's order, whatever is chosen. */
  const disagreement = (by) => {
    const found = pairs().filter(differ);
    if (found.length === 0) return say("The two runs agree on every sample of this page.");
    const order = (one, other) => one.problem - other.problem || one.sample - other.sample;
    const after = by > 0 ? found.find((pair) => order(pair, current()) > 0) : found.findLast((pair) => order(pair, current()) < 0);
    const pair = after ?? found.at(by > 0 ? 0 : -1);
    if (!walkable().some((one) => one.problem === pair.problem && one.sample === pair.sample)) {
      byId("kind").value = "all";
      fillProblems();
    }
    return show(pair);
  };

  const say = (text) => {
    byId("done").textContent = text;
  };

  const keepChoice = (select, entries) => {
    const before = select.value;
    options(select, entries);
    if (before !== "" && entries.some(([value]) => String(value) === before)) select.value = before;
  };

  const fillKinds = () => {
    const all = pairs();
    const counted = kinds().map(([value, name, belongs]) => [value, name, all.filter(belongs).length]);
    const some = counted.filter(([value, , number]) => value === "all" || value === "word" || number > 0);
    keepChoice(byId("kind"), some.map(([value, name, number]) => [value, `${name} (${number})`]));
    byId("disagree").hidden = panes[1].run.value === "";
    fillProblems();
  };

  const fillProblems = () => {
    const {problems} = task();
    const inOrder = [...new Set(walkable().map((pair) => pair.problem))];
    const all = byId("kind").value === "all"; // also problems of which the chosen runs have no sample
    const missing = all ? problems.map((_, i) => i).filter((i) => !inOrder.includes(i)) : [];
    keepChoice(byId("problem"), [...inOrder, ...missing].map(
      (i) => [i, shortened(`${problems[i].id}: ${problems[i].question}`)]));
    fillSamples();
  };

  const fillSamples = (wanted) => {
    const problem = Number(byId("problem").value);
    const found = walkable().filter((pair) => pair.problem === problem);
    const verdict = (pair) => chosenRuns().map((run, side) => {
      const sample = pair.of[side];
      return `${run.label} ${sample ? (sample.counts ? "✓" : "✗") : "–"}`;
    }).join(", ");
    keepChoice(byId("sample"), found.map((pair) => [pair.sample, `${pair.sample}: ${verdict(pair)}`]));
    if (wanted !== undefined) byId("sample").value = wanted;
    showSample();
  };

  const fillRuns = () => {
    const {runs} = task();
    byId("problem").replaceChildren(); // the places of another task's problems
    const labels = runs.map((run, i) => [i, run.label]);
    options(panes[0].run, labels);
    options(panes[1].run, [["", "nothing"], ...labels]);
    const [first, second] = task().pair ?? [0, runs.length > 1 ? 1 : ""];
    panes[0].run.value = first;
    panes[1].run.value = second;
    panes[1].pane.hidden = runs.length < 2;
  };

  const fillTask = () => {
    word = null;
    fillRuns();
    fillKinds();
  };

  // ----- addresses: #decode?task=...&a=...&b=..., see flexeval/report/links.py -----

  const START = "#decode?";
  let settled = false; // whether the reader has done something: what the page does by itself leaves the address alone
  let remembering = null;

  const address = () => {
    const [a, b] = chosenRuns().map((run) => run.label);
    const {problem, sample} = current();
    const step = clock === last ? {} : {step: clock};
    const kind = byId("kind").value === "all" || word !== null ? {} : {show: byId("kind").value};
    return START + new URLSearchParams({
      task: task().name, a, ...(b === undefined ? {} : {b}), ...(word === null ? {} : {word}), ...kind,
      problem: task().problems[problem]?.id ?? "", sample, ...step});
  };

  /** Keep the address of what is shown in the address line, without an entry in the history for each step. */
  const remember = () => {
    if (!settled) return;
    clearTimeout(remembering);
    remembering = setTimeout(() => history.replaceState(null, "", address()), 250);
  };

  const inSight = () => {
    const {top, bottom} = viewer.querySelector(".panes").getBoundingClientRect();
    return bottom > 0 && top < innerHeight;
  };

  const comeToSight = () => {
    const from = innerWidth > 640 ? viewer : byId("question"); // a phone has no room for the choices, too
    if (!inSight()) from.scrollIntoView({block: "start", behavior: STILL ? "auto" : "smooth"});
  };

  /** Show what an address says, as far as it is on this page; false where it is no address of decodes. */
  const follow = (hash) => {
    if (!hash.startsWith(START)) return false;
    const wanted = new URLSearchParams(hash.slice(START.length));
    const found = DATA.tasks.findIndex((one) => one.name === wanted.get("task"));
    if (found < 0) return false;
    byId("task").value = found;
    fillRuns();
    const place = (name) => task().runs.findIndex((run) => run.label === wanted.get(name));
    if (place("a") >= 0) panes[0].run.value = place("a");
    panes[1].run.value = place("b") >= 0 ? place("b") : "";
    word = wanted.get("word");
    byId("kind").replaceChildren();
    byId("sort").value = "task";
    fillKinds();
    const kind = word === null ? wanted.get("show") : "word";
    if ([...byId("kind").options].some((one) => one.value === kind)) {
      byId("kind").value = kind;
      fillProblems();
    }
    const problem = task().problems.findIndex((one) => one.id === wanted.get("problem"));
    const carried = walkable().filter((pair) => pair.problem === problem);
    const index = Number(wanted.get("sample") ?? -1);
    if (carried.length > 0) show(carried.find((pair) => pair.sample === index) ?? carried[0]);
    if (wanted.has("list") || (wanted.has("problem") && carried.length === 0)) {
      behind(wanted);
    } else if (wanted.has("step")) {
      goTo(Number(wanted.get("step")) || 0);
    } else {
      playInSight();
    }
    if (word !== null && walkable().length === 0) say(`No decode on this page has “${word}”.`);
    clearTimeout(remembering); // the address line has it
    return true;
  };

  /** The place in the page that an address leads to, also where it is folded away. */
  const unfold = (hash) => {
    const target = hash.length > 1 ? document.getElementById(hash.slice(1)) : null;
    const folded = target?.querySelector(":scope > details.folded");
    if (folded) folded.open = true;
    for (let around = target?.closest("details"); around; around = around.parentElement.closest("details")) around.open = true;
    if (folded) target.scrollIntoView();
  };

  document.addEventListener("click", (event) => {
    const hash = event.target.closest("a[href]")?.getAttribute("href") ?? "";
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    if (!hash.startsWith(START)) {
      unfold(hash.startsWith("#") ? hash : "");
      return;
    }
    event.preventDefault();
    byId("behind").close();
    history.pushState(null, "", hash);
    follow(hash);
    if (!byId("behind").open) comeToSight();
  });
  addEventListener("hashchange", () => follow(location.hash) ? comeToSight() : unfold(location.hash));

  // ----- the problems behind a point -----

  /** The chance that one of k samples is right, by the unbiased estimator. */
  const passAtK = (n, c, k) => {
    if (k > n) return null;
    let missed = 1;
    for (let i = 0; i < k; i += 1) missed *= Math.max(n - c - i, 0) / (n - i);
    return 1 - missed;
  };

  const cell = (tag, ...content) => {
    const made = document.createElement(tag);
    made.append(...content);
    return made;
  };

  const PARTS = {
    a: (found) => found[0][1] > 0 && found[1]?.[1] === 0,
    b: (found) => found[0][1] === 0 && found[1]?.[1] > 0,
    both: (found) => found.every(([, c]) => c > 0),
    neither: (found) => found.every(([, c]) => c === 0),
  };

  /** The list of all problems of the chosen runs, those with the largest difference first, with their decodes. */
  const behind = (wanted) => {
    const {problems, others} = task();
    const runs = chosenRuns();
    const k = Number(wanted.get("k") ?? 1);
    const ids = [...problems.map((one) => one.id), ...others];
    const rows = ids.map((id, problem) => ({id, problem, found: runs.map((run) => tally(run, problem))}))
      .filter(({found}) => found.every(([n]) => n > 0))
      .filter(({found}) => PARTS[wanted.get("part")]?.(found) ?? true)
      .filter(({id}) => !wanted.has("problem") || id === wanted.get("problem"))
      .map((row) => ({...row, chance: row.found.map(([n, c]) => passAtK(n, c, k))}));
    const gap = ({chance}) => Math.abs((chance[0] ?? 0) - (chance[1] ?? 0));
    rows.sort((one, other) => gap(other) - gap(one));
    const mean = (side) => rows.reduce((sum, {chance}) => sum + (chance[side] ?? NaN), 0) / rows.length;
    const percent = (share) => (Number.isNaN(share) || share === null ? "–" : `${(100 * share).toFixed(1)} %`);
    byId("behind-title").textContent = `${rows.length} of ${ids.length} problems of ${task().name}`;
    byId("behind-about").textContent = `Samples that count, and Pass@${k}: ${runs.map((run, side) => `${run.label} ${percent(mean(side))}`).join(", ")}`
      + " in the mean of these problems. A sample's number opens its decode; most samples are in the run folders alone.";
    const head = document.createElement("tr");
    head.append(cell("th", "problem and its decodes"), ...runs.map((run) => cell("th", run.label)));
    byId("behind-head").replaceChildren(head);
    const carried = pairs();
    byId("behind-rows").replaceChildren(...rows.map((row) => listed(
      row, runs, carried.filter((pair) => pair.problem === row.problem), percent)));
    if (!byId("behind").open) byId("behind").showModal();
    byId("behind").scrollTop = 0;
  };

  const listed = ({id, problem, found, chance}, runs, decodes, percent) => {
    const made = document.createElement("tr");
    const question = task().problems[problem]?.question;
    const name = cell("th", id);
    if (question !== undefined) {
      const asked = cell("span", shortened(question));
      asked.className = "source";
      name.append(document.createElement("br"), asked);
    }
    const links = decodes.flatMap((pair) => {
      const link = cell("a", `${pair.sample} ${runs.map((_, side) => (pair.of[side] ? (right(pair, side) ? "✓" : "✗") : "–")).join("")}`);
      link.href = START + new URLSearchParams({task: task().name, a: runs[0].label,
        ...(runs[1] ? {b: runs[1].label} : {}), problem: id, sample: pair.sample});
      return [link, " "];
    });
    name.scope = "row";
    const played = cell("div", ...(links.length > 0 ? links : ["no decode on this page"]));
    played.className = "played";
    name.append(played);
    made.append(name, ...found.map(([n, c], side) => {
      const numbers = cell("td", `${c} of ${n}`, document.createElement("br"), percent(chance[side]));
      numbers.className = "number";
      return numbers;
    }));
    return made;
  };

  // ----- copies -----

  const copyLink = async () => {
    const link = location.href.split("#")[0] + address();
    try {
      await navigator.clipboard.writeText(link);
      say("Copied the link.");
    } catch {
      history.replaceState(null, "", address());
      say("The address line has the link.");
    }
  };

  /** What the panes show, as a picture. */
  const picture = () => {
    const style = getComputedStyle(viewer);
    const colour = (name) => style.getPropertyValue(name).trim();
    const [edge, line, wide, scale] = [24, 26, 620, 2];
    const shown = panes.filter((pane) => pane.spans.length > 0);
    const canvas = document.createElement("canvas");
    const pen = canvas.getContext("2d");
    const mono = `15px ${getComputedStyle(panes[0].answer).fontFamily}`;
    const plain = `14px ${style.fontFamily}`;

    /** Draw, or only measure: [text, draw] in lines of a width, from y; the y below the last line. */
    const flow = (parts, left, top, width) => {
      let [x, y] = [left, top];
      for (const [text, draw] of parts) {
        const long = pen.measureText(text.replace(/\n/gu, "")).width;
        if (x > left && x + long > left + width) [x, y] = [left, y + line];
        draw?.(text.replace(/\n/gu, "↵"), x, y, long);
        x += long;
        if (text.includes("\n")) [x, y] = [left, y + line];
      }
      return y + line;
    };
    const words = (text, ink) => text.split(/(?<=\s)/u).map((one) => [one, (written, x, y) => {
      pen.fillStyle = ink;
      pen.fillText(written.replace("↵", ""), x, y);
    }]);
    const tokens = (pane) => pane.spans.map((span) => [span.textContent, (written, x, y, long) => {
      pen.fillStyle = span.style.backgroundColor || colour("--mask-page");
      pen.fillRect(x, y - 17, Math.max(long, 2), line - 3);
      pen.fillStyle = span.style.color || colour("--mask");
      pen.fillText(written, x, y);
      if (span.matches(".bypassed:not(.mask)")) for (let dot = x; dot < x + long; dot += 5) pen.fillRect(dot, y + 3, 2.5, 2);
      if (span.matches(".frontier, .fresh")) {
        pen.strokeStyle = span.matches(".fresh") ? colour("--accent") : colour("--ink");
        pen.lineWidth = 2;
        pen.strokeRect(x + 1, y - 17, Math.max(long - 2, 1), line - 3);
      }
    }]);
    const total = Math.max(shown.length, 1) * (wide + edge) + edge;
    const all = (draws) => {
      const drawn = (parts) => (draws ? parts : parts.map(([text]) => [text]));
      pen.font = plain;
      const top = flow(drawn(words(byId("question").textContent, colour("--ink"))), edge, edge + 16, total - 2 * edge) + 10;
      const ends = shown.map((pane, i) => {
        const left = edge + i * (wide + edge);
        pen.font = `600 ${plain}`;
        const verdict = pane.verdict.querySelector("strong")?.textContent ?? "";
        const below = flow(drawn(words(`${task().runs[pane.run.value].label}   ${verdict}`, colour("--ink"))), left, top, wide);
        pen.font = mono;
        return flow(drawn(tokens(pane)), left, below, wide);
      });
      const end = Math.max(top, ...ends) + 6;
      pen.font = plain;
      const {problem, sample} = current();
      const foot = `${task().problems[problem].id}, sample ${sample}, ${byId("time").textContent}. flexeval`;
      return flow(drawn(words(foot, colour("--faint"))), edge, end, total - 2 * edge);
    };
    const tall = all(false);
    canvas.width = scale * total;
    canvas.height = scale * tall;
    pen.scale(scale, scale);
    pen.fillStyle = colour("--card");
    pen.fillRect(0, 0, total, tall);
    all(true);
    return new Promise((done) => canvas.toBlob(done, "image/png"));
  };

  const copyImage = async () => {
    const made = picture();
    try {
      await navigator.clipboard.write([new ClipboardItem({"image/png": made})]);
      say("Copied the picture.");
    } catch {
      const link = document.createElement("a");
      link.href = URL.createObjectURL(await made);
      link.download = "decode.png";
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
      say("Saved the picture as decode.png.");
    }
  };

  // ----- what the user does -----

  byId("task").addEventListener("change", fillTask);
  byId("kind").addEventListener("change", fillProblems);
  byId("sort").addEventListener("change", () => {
    fillProblems();
    if (walkable().length > 0) show(walkable()[0]);
  });
  byId("problem").addEventListener("change", () => fillSamples());
  byId("sample").addEventListener("change", showSample);
  byId("previous").addEventListener("click", () => walk(walkable(), -1));
  byId("next").addEventListener("click", () => walk(walkable(), 1));
  byId("disagree").addEventListener("click", () => disagreement(1));
  byId("all-problems").addEventListener("click", () => behind(new URLSearchParams()));
  byId("close").addEventListener("click", () => byId("behind").close());
  byId("copy-link").addEventListener("click", copyLink);
  byId("copy-image").addEventListener("click", copyImage);
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

  document.addEventListener("keydown", (event) => {
    const {target, key} = event;
    const own = target.closest("select, textarea, input:not([type=range]), summary, dialog");
    if (own || event.ctrlKey || event.metaKey || event.altKey) return;
    if (key === " " && target.closest("button, a, .scroll")) return;
    if (/^Arrow/.test(key) && target.closest(".scroll")) return; // it scrolls
    const token = target.closest(".pane .token");
    const actions = {
      " ": playOrPause,
      ArrowLeft: () => jump(clock - 1),
      ArrowRight: () => jump(clock + 1),
      n: () => disagreement(1),
      p: () => disagreement(-1),
      ...((inSight() || viewer.contains(target)) && {Home: () => jump(0), End: () => jump(last)}),
      ...(token && {ArrowUp: () => focusToken(token, -1), ArrowDown: () => focusToken(token, 1)}),
    };
    if (!(key in actions)) return;
    event.preventDefault();
    comeToSight();
    actions[key]();
  });

  options(byId("task"), DATA.tasks.map((one, i) => [i, one.name]));
  byId("task").parentElement.hidden = DATA.tasks.length < 2;
  viewer.hidden = false;
  if (!follow(location.hash)) {
    fillTask();
    if (DATA.opens !== null) follow(DATA.opens);
    unfold(location.hash);
  } else {
    comeToSight();
  }
  for (const kind of ["pointerdown", "keydown", "change"]) {
    addEventListener(kind, () => { settled = true; }, {capture: true, once: true});
  }
})();
