// Everything that the page says, in English and in simplified Chinese, and the choice of one.
//
// Each key has both. {n} and the like are put in; «one|many» is chosen by the number.

const TABLE = {
  // The house.
  skip: ["To the content", "跳到正文"],
  rooms: ["Rooms", "主导航"],
  models: ["Models", "模型"],
  desk: ["Desk", "写作"],
  measure: ["Measure", "评测"],
  training: ["Training", "学习"],
  gone: [
    "The server does not answer. Is charlstm serve still running?",
    "服务器没有回应。charlstm serve 还在运行吗？",
  ],
  "no-key": [
    "This page has lost its key. Open the whole address that charlstm serve has printed.",
    "这个页面的钥匙失效了。请打开 charlstm serve 打印的完整网址。",
  ],
  again: ["Try again", "再试一次"],
  cancel: ["Cancel", "取消"],
  done: ["Done", "好了"],
  keep: ["Keep it", "保留"],
  remove: ["Remove", "删除"],
  removed: ["{name} has been removed.", "已删除《{name}》。"],
  "removed-model": ["{name} has been removed.", "已删除“{name}”。"],
  any: ["any", "不限"],
  comma: [", ", "、"],

  // Figures.
  today: ["today, {time}", "今天 {time}"],
  seconds: ["{n} second|{n} seconds", "{n} 秒"],
  minutes: ["{n} minute|{n} minutes", "{n} 分钟"],
  hours: ["{n} hours", "{n} 小时"],
  "n-characters": ["{n} character|{n} characters", "{n} 个字符"],
  "n-distinct": ["{n} different ones", "{n} 个不同的字符"],
  "n-songs": ["{n} song|{n} songs", "{n} 首歌"],
  "n-lines": ["{n} line|{n} lines", "{n} 行"],

  // Models.
  "new-model": ["New model", "新模型"],
  "a-model": ["A model", "一个模型"],
  welcome: ["A model of your own songs", "用你自己的歌，做一个模型"],
  "welcome-how": [
    "Drop a folder with your lyrics on this page. The model learns for a few minutes how your lines go, and then proposes new ones while you write.",
    "把装着歌词的文件夹拖到这一页上。模型用几分钟学会你写句子的习惯，然后在你写的时候给出新的句子。",
  ],
  "welcome-where": [
    "Everything stays on this computer, in the folder {root}.",
    "一切都留在这台电脑上，在文件夹 {root} 里。",
  ],
  "welcome-begin": ["Choose your lyrics", "选择你的歌词"],
  "being-trained": ["{name} is learning.", "“{name}”正在学习。"],
  "was-trained": ["{name} has learned.", "“{name}”学习结束了。"],
  watch: ["Watch", "看看"],
  look: ["Look", "看看"],
  write: ["Write", "写歌"],
  "go-on": ["Keep learning", "继续学习"],
  rename: ["Rename", "改名"],
  "new-name": ["New name", "新名字"],
  renamed: ["It is called {name} now.", "现在叫“{name}”。"],
  export: ["Export", "导出"],
  "remove…": ["Remove…", "删除…"],
  "remove-model?": ["Remove the model {name}?", "删除模型“{name}”吗？"],
  "remove-model-detail": [
    "What it has learned is gone then, with {n} song written with it. The texts that it learned from stay where they are.|What it has learned is gone then, with the {n} songs written with it. The texts that it learned from stay where they are.",
    "它学到的一切都会消失，连同用它写的 {n} 首歌。它学过的原文不受影响。",
  ],
  perplexity: ["Perplexity", "困惑度"],
  "perplexity-is": [
    "Perplexity: among how many equally likely characters the model wavers, on text it has not seen. Lower is better.",
    "困惑度：面对没见过的文字，模型平均在多少个同样可能的字之间犹豫。越低越好。",
  ],
  characters: ["Characters", "字符"],
  songs: ["Songs", "歌曲"],
  drafts: ["Drafts", "草稿"],
  size: ["Size", "大小"],
  "saved-at": ["Saved", "保存于"],
  "state-ready": ["", ""],
  "state-training": ["is learning", "正在学习"],
  "state-stopped": ["was stopped, and can go on learning", "中途停下，可以继续学习"],
  "state-empty": ["has learned nothing yet", "还什么都没学"],
  "state-damaged": ["is damaged", "已损坏"],

  // A new model.
  "drop-here": ["Drop your songs here", "把你的歌拖到这里"],
  "drop-kinds": [
    "Files or a whole folder: plain text, LRC, subtitles, tables, JSON, Word; any encoding.",
    "文件或整个文件夹：纯文本、LRC、字幕、表格、JSON、Word，任何编码都行。",
  ],
  "choose-files": ["Choose files", "选择文件"],
  "choose-folder": ["Choose a folder", "选择文件夹"],
  "or-paste": ["or paste them", "或者粘贴进来"],
  "use-pasted": ["Take this text", "就用这段文字"],
  "pasted-name": ["pasted", "粘贴的文字"],
  "stays-here": [
    "Nothing is sent anywhere: the server that reads it is this computer.",
    "什么都不会发到别处：读它的服务器就是这台电脑。",
  ],
  "no-files": ["There is no file in it.", "里面没有文件。"],
  "too-much": [
    "That is more than 512 MiB. Train it on the command line: charlstm train.",
    "这超过了 512 MiB。请在命令行里训练：charlstm train。",
  ],
  "nothing-pasted": ["There is no text yet.", "还没有文字。"],
  "cannot-read": ["This cannot be read: {problem}", "读不了：{problem}"],
  "handing-over": ["Handing over", "正在传送"],
  "handing-over-files": [
    "Handing over {n} file …|Handing over {n} files …",
    "正在传送 {n} 个文件……",
  ],
  looking: ["Looking at what is in it …", "正在看里面有什么……"],
  "one-at-a-time": [
    "A model is learning just now, and only one can at a time.",
    "现在有一个模型正在学习，一次只能学一个。",
  ],
  found: ["This is what was found", "找到了这些"],
  "excerpt-of": ["How it begins: {text}", "开头是：{text}"],
  "files-and-encodings": [
    "{n} file, and how it was read|{n} files, and how they were read",
    "{n} 个文件，以及读取的编码",
  ],
  file: ["File", "文件"],
  encoding: ["Encoding", "编码"],
  "more-files": ["and {n} more", "还有 {n} 个"],
  name: ["Name", "名字"],
  "how-long": ["How long may it learn?", "让它学多久？"],
  "how-long-hint": [
    "Five minutes are right for most texts. It can be stopped at any time, and go on later.",
    "一般五分钟就好。随时可以停下，以后也可以接着学。",
  ],
  own: ["or", "或者"],
  "own-minutes": ["Minutes of your own choice", "自己定的分钟数"],
  min: ["minutes", "分钟"],
  learn: ["Learn", "开始学习"],
  "other-text": ["Another text", "换一段文字"],

  // A training.
  learning: ["Learning", "正在学习"],
  "learning-name": ["{name}", "{name}"],
  progress: ["How far it is", "进度"],
  "training-starting": ["It begins: the text is read.", "开始了：正在读文字。"],
  "training-running": ["{done} done", "已完成 {done}"],
  "training-left": ["{done} done, about {time} left", "已完成 {done}，大约还要 {time}"],
  "training-stopping": ["It finishes its step and saves.", "正在走完这一步并保存。"],
  "training-finished": ["It has learned.", "学完了。"],
  "training-stopped": [
    "It was stopped, and what it has learned is kept.",
    "已停下，学到的都留着。",
  ],
  "training-failed": ["It could not learn.", "没能学成。"],
  "training-away": [
    "The server does not answer. This page goes on by itself when it is back.",
    "服务器没有回应。它回来以后，这一页会自己接上。",
  ],
  stop: ["Stop", "停下"],
  "stop-keeps": ["What it has learned so far is kept.", "到目前为止学到的都会留下。"],
  "write-with-it": ["Write with it", "用它写歌"],
  "held-out-loss": ["unseen text", "没见过的文字"],
  "training-loss": ["text it learns", "正在学的文字"],
  "no-curve-yet": ["The curve begins with the first pass.", "学完第一遍，曲线就开始了。"],
  "curve-says": [
    "Loss over {time}: {held} on unseen text, {training} on the text it learns. Lower is better.",
    "{time} 内的损失：没见过的文字 {held}，正在学的文字 {training}。越低越好。",
  ],
  "held-out-perplexity": ["Best perplexity", "最好的困惑度"],
  passes: ["Passes", "遍数"],
  "characters-a-second": ["Characters a second", "每秒字符"],
  "what-it-writes": ["What it writes by now", "它现在写的"],
  "how-it-learns": ["How it learns", "它怎么学"],
  "no-samples-yet": ["Nothing yet.", "还没有。"],
  "after-pass": ["after pass {n}", "第 {n} 遍之后"],
  "a-sample": ["a sample", "一段样本"],
  "no-training": ["Nothing is learning", "现在没有模型在学习"],
  "no-training-how": [
    "Begin with a new model, or let one that you have keep learning.",
    "做一个新模型，或者让已有的模型继续学习。",
  ],
  "go-on-with": ["{name}: keep learning", "“{name}”：继续学习"],

  // The desk.
  "desk-of": ["A song with {name}", "用“{name}”写歌"],
  "no-model": ["There is no model to write with yet", "还没有可以用来写的模型"],
  "no-model-how": [
    "Make one from your own songs: it takes a few minutes.",
    "用你自己的歌做一个，只要几分钟。",
  ],
  "other-model": ["All models", "所有模型"],
  "songs-and-history": ["Songs and history", "歌曲与历史"],
  "proposals-and-form": ["Proposals and form", "候选句与格式"],
  "the-song": ["The song", "歌词"],
  "song-keys": [
    "Grey text after the cursor is a continuation: Tab takes it, Control and right arrow takes one word. Escape dismisses it, and then Tab moves on. Alt and a digit takes a proposed line.",
    "光标后的灰色文字是续写：按 Tab 采用，按 Ctrl 加右箭头只采用一个词。按 Esc 放弃，之后 Tab 照常移动焦点。按 Alt 加数字采用候选句。",
  ],
  untitled: ["Untitled", "未命名"],
  "new-song": ["New song", "新歌"],
  "remove-song": ["Remove {title}", "删除《{title}》"],
  "remove-song?": ["Remove “{title}”?", "删除《{title}》吗？"],
  "remove-song-detail": [
    "The song and all of its history are gone then.",
    "这首歌和它的全部历史都会消失。",
  ],
  history: ["History", "历史"],
  back: ["Back", "后退"],
  forward: ["Forward", "前进"],
  "how-start": ["begun", "起点"],
  "how-typed": ["typed", "自写"],
  "how-taken": ["taken", "采用"],
  "how-other": ["other", "其他"],
  "how-anew": ["anew", "重写"],
  "step-says": ["{how}: {what}", "{how}：{what}"],
  nothing: ["nothing", "空"],
  download: ["Download", "下载"],
  "show-copies": ["Copies", "照抄"],
  "show-surprisal": ["Surprise", "意外"],
  "show-rhymes": ["Rhymes", "押韵"],
  "no-rhymes": ["Rhymes are known in Chinese and in English.", "只认得中文和英文的韵。"],
  "ghost-hint": ["Tab continues so, Esc lets it go.", "按 Tab 这样续写，按 Esc 放弃。"],
  saved: ["Saved", "已保存"],
  "saved-words": ["Words saved", "歌词已保存"],
  saving: ["Saving …", "保存中……"],
  elsewhere: ["Open elsewhere", "在别处打开"],
  "not-saved": ["Not saved", "未保存"],
  "gone-song": [
    "The server does not answer. The song stays on this page, and is saved as soon as the server is back.",
    "服务器没有回应。歌留在这一页上，服务器一回来就保存。",
  ],
  "in-use": ["This song is open elsewhere.", "这首歌正在别处打开着。"],
  "take-over": ["Take over", "在这里接着写"],
  changed: ["This song was changed elsewhere meanwhile.", "这首歌在别处被改过了。"],
  "keep-mine": ["Keep mine", "保留我的"],
  "take-theirs": ["Take the other", "用那一份"],
  "may-end": ["The song may end here ({likely}).", "歌可以在这里结束（{likely}）。"],
  "form-full": [
    "The stanza has its {n} line. An empty line begins the next.|The stanza has its {n} lines. An empty line begins the next.",
    "这一段的 {n} 行已经写满。空一行就开始下一段。",
  ],
  dismissed: ["Dismissed. Tab moves on.", "已放弃。Tab 照常移动。"],
  taken: ["Taken: {line}", "已采用：{line}"],
  "ghost-says": ["Tab continues: {text}", "Tab 续写：{text}"],
  "copy-here": ["Copied: {text} – from the line “{source}”", "照抄：{text}——出自“{source}”"],
  "copied-share": ["{share} copied", "照抄 {share}"],
  bits: ["{n} bits a character", "每字 {n} 比特"],

  // Proposals.
  proposals: ["Proposals", "候选句"],
  "line-next": ["Line {n}", "第 {n} 行"],
  "line-goes-on": ["Line {n}, going on", "第 {n} 行，接着写"],
  "line-anew": ["Line {n}, anew", "第 {n} 行，重写"],
  mode: ["What is proposed", "候选方式"],
  "mode-begun": ["Go on", "接着写"],
  "mode-anew": ["Anew", "重写"],
  other: ["Others", "换一批"],
  more: ["More", "再多些"],
  "proposal-keys": [
    "1–9 take a line, 0 asks for others; in the song with Alt.",
    "1–9 采用一句，0 换一批；光标在歌词里时加按 Alt。",
  ],
  "proposal-says": ["{n}: {line}. Likely {likely}", "{n}：{line}。可能性 {likely}"],
  "rhymes-with": ["rhymes with “{line}”", "与“{line}”押韵"],
  "copied-from": ["{n} copied from “{source}”", "{n} 个字照抄自“{source}”"],
  "copied-whole": ["word for word in “{source}”", "整句照抄自“{source}”"],
  copied: ["copied", "照抄"],

  // The form.
  form: ["Form", "格式"],
  free: ["free", "自由"],
  "form-lines": ["Lines", "行数"],
  "any-number": ["any", "不限"],
  "form-length": ["Characters a line", "每行字数"],
  "example-length": ["7 or 7,5 or 6-9", "7 或 7,5 或 6-9"],
  "form-rhyme": ["Rhyme", "押韵"],
  "form-copy": ["Longest copy", "最长照抄"],
  "any-length": ["any", "不限"],
  "form-acrostic": ["First characters", "藏头"],
  "form-acrostic-end": ["Last characters", "藏尾"],
  "form-must": ["Words that must occur", "必须出现的词"],
  "form-must-hint": ["parted by commas", "用逗号或顿号分开"],
  "form-more": ["How freely it writes", "写得多自由"],
  "form-temperature": ["Temperature", "温度"],
  "temperature-is": [
    "Low: what is most likely. High: what surprises.",
    "低：最可能的。高：出人意料的。",
  ],
  "form-recall": ["Recall", "记忆"],
  "recall-auto": ["as the model found best", "由模型自己定"],
  "recall-is": ["How much passages of the learned text count.", "学过的片段占多大分量。"],
  "no-copies-kept": [
    "This model has not kept the text that it learned from, so copies cannot be found.",
    "这个模型没有保留学过的原文，所以无法查找照抄。",
  ],
  "short-length": ["{n} a line", "每行 {n} 字"],
  "short-copy": ["copies up to {n}", "照抄不超过 {n}"],

  // Measuring.
  model: ["Model", "模型"],
  "how-good": ["How good it is", "它有多好"],
  "how-good-is": [
    "Some of your text was set aside and not learned. How well does the model foresee it, beside simpler ways?",
    "你的文字有一部分留出来没有学。模型能多好地预料到它？也和更简单的办法比一比。",
  ],
  "measure-held-out": ["Measure", "开始评测"],
  measuring: ["Measuring …", "正在评测……"],
  predicted: ["{n} characters of text that it has not learned", "没有学过的 {n} 个字符"],
  "bits-a-character": ["Bits a character", "每字比特"],
  "standard-error": [
    "Other text of the same kind may well be {share} better or worse.",
    "换一段同类的文字，结果好坏相差 {share} 左右是常事。",
  ],
  "no-error": [
    "These are too few characters to say how far other text of the same kind would be.",
    "字数太少，说不出换一段同类的文字会相差多少。",
  ],
  "row-model": ["This model", "这个模型"],
  "row-lstm": ["its network alone", "只用网络"],
  "row-recall": ["and the learned text", "加上学过的文字"],
  "row-so_far": ["and the song so far", "再加上写到这里的歌"],
  "row-five_gram": ["Counting five characters", "只统计五字组合"],
  "row-unigram": ["Counting characters", "只统计单字"],
  "row-uniform": ["Guessing", "瞎猜"],
  inside: ["What happens inside", "里面发生了什么"],
  "inside-is": [
    "Which of its units follow the place in the line, brackets, quotes and the like, what each gate does at each character, and what a unit is needed for. Shown on text that it has not learned.",
    "哪些单元跟着行中的位置、括号、引号等走，每个门在每个字符上做什么，一个单元有什么用。在它没有学过的文字上显示。",
  ],
  "look-inside": ["Look inside", "看看里面"],
  "look-inside-text": ["What its units do", "它的单元在做什么"],
  "looking-inside": ["Every unit is switched off once, which takes up to a minute …", "正在把每个单元各关掉一次，最多需要一分钟……"],
  "open-inside": ["Open the page", "打开页面"],
  "a-text": ["A text of yours", "你的一段文字"],
  "a-text-is": ["Paste a song or a draft.", "粘贴一首歌或一段草稿。"],
  "where-surprised": ["Where it surprises", "哪里出人意料"],
  "what-copied": ["What is copied", "哪些是照抄"],
  "text-perplexity": ["perplexity {n}", "困惑度 {n}"],
  "n-unknown": [
    "{n} character that the model does not know|{n} characters that the model does not know",
    "有 {n} 个模型不认识的字符",
  ],
  shades: ["Surprise:", "意外程度："],
  "shade-1": ["little", "很小"],
  "shade-2": ["some", "有些"],
  "shade-3": ["much", "较大"],
  "shade-4": ["more", "很大"],
  "shade-5": ["most", "极大"],
  "copied-in-a-row": ["Copied in a row", "连续照抄"],
  "in-a-row": ["{n} characters", "{n} 个字符"],
  "whole-lines": ["whole lines", "整行"],
  "this-text": ["This text", "这段文字"],
  "held-out-text": ["Text set aside", "留出的文字"],
  "longest-copies": ["The longest copies", "最长的照抄"],
  "from-line": ["line {n} of what it learned: “{source}”", "出自学过的第 {n} 行：“{source}”"],
  "no-copies": ["Nothing of four characters or more is copied.", "没有四个字以上的照抄。"],
};

const LANGUAGES = ["en", "zh-Hans"];

/**
 * Choose a language of the page.
 * @param {readonly string[]} wished what the browser's user reads, best first
 * @returns {string}
 */
export function chosen(wished) {
  for (const language of wished) {
    if (/^zh\b/i.test(language)) return "zh-Hans";
    if (/^en\b/i.test(language)) return "en";
  }
  return "en";
}

/** The language of the page. */
export const LANGUAGE = chosen(navigator.languages ?? [navigator.language]);

/**
 * Say something in the language of the page.
 * @param {string} key
 * @param {Object<string, string|number>} [values] what is put in; `count` chooses one or many
 * @returns {string}
 */
export function t(key, values = {}) {
  const said = TABLE[key]?.[LANGUAGES.indexOf(LANGUAGE)];
  if (said === undefined) throw new Error(`the page cannot say ${key}`);
  const [one, many = one] = said.split("|");
  const form = (values.count ?? values.n) === 1 ? one : many;
  return form.replace(/\{(\w+)\}/g, (_, name) => String(values[name] ?? ""));
}
