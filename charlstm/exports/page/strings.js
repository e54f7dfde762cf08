// Everything that the page says, in English and in simplified Chinese, and the choice of one.
//
// Each key has both. {n} and the like are put in; «one|many» is chosen by the number.

const TABLE = {
  prefix: ["Prefix", "开头"],
  "prefix-is": ["What the model goes on from. May be empty.", "模型从这里接着写，可以留空。"],
  write: ["Write", "写"],
  stop: ["Stop", "停下"],
  copy: ["Copy", "复制"],
  settings: ["How it writes", "怎么写"],
  temperature: ["Temperature", "温度"],
  "temperature-is": ["Low: what is most likely. High: what surprises.", "低：最可能的。高：出人意料的。"],
  "top-p": ["Top-p", "Top-p"],
  "top-p-is": [
    "Draws among the likeliest that together reach this probability.",
    "只在合起来达到这个概率的、最可能的字符里选。",
  ],
  measure: ["How much", "写多少"],
  song: ["A whole song", "一整首"],
  lines: ["Lines", "按行数"],
  characters: ["Characters", "按字符数"],
  number: ["Number", "数量"],
  seed: ["Seed", "种子"],
  "seed-is": ["The same seed writes the same text.", "同一个种子写出同一段文字。"],
  random: ["random", "随机"],
  unknown: ["Unseen characters", "没见过的字符"],
  "unknown-error": ["stop and say so", "停下并说明"],
  "unknown-skip": ["leave them out", "略过"],
  "unknown-map": ["read the nearest", "读成最接近的"],
  none: ["none", "无"],
  "the-song": ["What it wrote", "写出来的文字"],
  empty: ["Nothing is written yet.", "还什么都没有写。"],

  loading: ["The weights are being unpacked…", "正在展开权重……"],
  reading: ["Reading the prefix…", "正在读开头……"],
  writing: ["Writing…", "正在写……"],
  copied: ["Copied.", "已复制。"],
  "not-copied": ["The browser does not let this page copy; select the text instead.", "浏览器不让这个页面复制，请自己选中文字。"],
  done: [
    "{n} character, {speed} a second. Seed {seed}.|{n} characters, {speed} a second. Seed {seed}.",
    "{n} 个字符，每秒 {speed} 个。种子 {seed}。",
  ],
  stopped: ["Stopped.", "已停下。"],
  ended: ["The song ended by itself.", "这首歌写完了。"],
  "at-once": [
    "The song ended at once. Seed {seed}; another seed goes another way.",
    "这首歌到这里就结束了。种子 {seed}；换一个种子会不一样。",
  ],

  unseen: [
    "The model has never seen {characters} of the prefix. Change the prefix, or under “Unseen characters” choose “leave them out”, or “read the nearest” to put what is nearest in their place.",
    "模型从没见过开头里的 {characters}。请改一改开头，或者在“没见过的字符”里选“略过”，或选“读成最接近的”，用最接近的字符代替。",
  ],
  has: ["{character} (it has {near})", "{character}（它认得 {near}）"],
  changed: ["Of the prefix the model {changes}.", "对于开头，模型{changes}。"],
  mapped: ["reads {characters}", "把 {characters}"],
  as: ["{character} as {near}", "{character} 读成 {near}"],
  skipped: ["leaves out {characters}", "略过 {characters}"],
  unread: ["reads {characters} as <unk>, which nothing resembles", "把 {characters} 读成 <unk>，没有什么和它相像"],
  "and-it": ["; and it ", "；并且"],
  comma: [", ", "、"],
  space: [" ", ""],
  whole: ["{name} must be a whole number from 1 to {most}.", "“{name}”必须是 1 到 {most} 之间的整数。"],
  "no-seed": ["{name} must be a whole number of at most 40 digits.", "“{name}”必须是最多 40 位的整数。"],
  broken: ["This page is damaged: {problem}. Export it once more.", "这个页面损坏了：{problem}。请重新导出。"],
  nothing: ["Nothing was left to write.", "没有可写的了。"],

  about: ["About this page", "关于这个页面"],
  offline: [
    "The whole model is in this file. It writes here, in the browser, and asks nobody for anything; what you type stays here.",
    "整个模型都在这个文件里。它就在浏览器里写，不联网，也不向外发送任何内容；你输入的内容不会离开这里。",
  ],
  facts: [
    "{title}, {weights} weights in float16; it learned from {learned} characters, {known} different ones.",
    "{title}，{weights} 个 float16 权重；学过 {learned} 个字符，共 {known} 种不同字符。",
  ],
  remembers: [
    "It writes with what its run writes with: the network; the passages of its training text, {grams} of up to {longest} characters, with how often each came; and what the song has said so far.",
    "写作所用的与命令行相同：神经网络；原文的片段，共 {grams} 个，最长 {longest} 个字符，连同各自出现的次数；还有这首歌已经写下的内容。",
  ],
  "told-by-grams": [
    "Much of the training text can be told from its passages: whoever has this page has them too.",
    "从这些片段可以看出原文的大部分内容：谁有这个页面，谁就有了它们。",
  ],
  "left-out": [
    "One longer passage of the run has no room in a page.|{left} longer passages of the run have no room in a page.",
    "这个模型还有 {left} 个更长的片段，页面里放不下。",
  ],
  "network-alone": ["It writes by the network alone.", "它只用神经网络来写。"],
  "no-grams": [
    "It writes with what its run writes with: the network, and what the song has said so far. The run keeps no passages of its training text, so none are in this page.",
    "写作所用的与命令行相同：神经网络，还有这首歌已经写下的内容。这个模型没有保存原文的片段，所以页面里也没有。",
  ],
  perplexity: [
    "Held-out perplexity, before its weights were rounded: {perplexity}. Among so many equally likely characters it wavers on text that it has not seen; lower is better.",
    "权重取整之前，在没见过的文字上的困惑度是 {perplexity}：它平均在这么多个同样可能的字符之间犹豫，越低越好。",
  ],
  alone: ["The network alone would come to {alone}.", "只用神经网络会是 {alone}。"],
  "measured-with": [
    "That was measured with the passages that have no room here.",
    "这个数是连同放不下的片段一起测的。",
  ],
  differs: [
    "The same seed writes the same text here every time, in any browser. The command line draws by the same numbers, and writes the same until the rounded weights lead another way.",
    "同一个种子在这里每次都写出同样的文字，任何浏览器都一样。命令行用的是同样的随机数，写出同样的文字，直到取整的权重走上另一条路。",
  ],
  tidied: [
    "Its text was tidied. Marks that nobody sees are left out of a prefix only where that needs no look at what stands around them.",
    "它的原文经过整理。开头里看不见的符号，只有不必看前后文就能判断的，才会被略去。",
  ],
  "no-letters": [
    "This browser cannot tell letters that are made of several characters, so each counts by itself.",
    "这个浏览器分不出由几个字符组成的字母，所以逐个计数。",
  ],
  keys: ["Ctrl+Enter writes, Esc stops.", "Ctrl+Enter 开始写，Esc 停下。"],
};
