// What the page says, in English and Chinese.

const words = {
  newChat: ["New chat", "新对话"],
  chats: ["Chats", "对话列表"],
  noChats: ["No chats yet", "还没有对话"],
  untitled: ["New chat", "新对话"],
  deleteChat: ["Delete chat", "删除对话"],
  reallyDelete: ["Delete “{0}”?", "删除“{0}”？"],
  exportChats: ["Export", "导出"],
  importChats: ["Import", "导入"],
  imported: ["{0} chats imported.", "已导入 {0} 个对话。"],
  badImport: ["This file is no export of chats: {0}.", "该文件不是导出的对话：{0}。"],
  menu: ["Show or hide chats", "显示或隐藏对话列表"],
  theme: ["Light or dark", "浅色或深色"],
  settings: ["Settings", "设置"],
  system: ["System prompt", "系统提示词"],
  temperature: ["Temperature", "温度"],
  maxTokens: ["Max tokens", "最大 token 数"],
  byDefault: ["the server's default", "服务器默认值"],
  key: ["API key", "API 密钥"],
  keyHint: ["Kept until this tab is closed.", "仅保留到此标签页关闭。"],
  save: ["Save", "保存"],
  cancel: ["Cancel", "取消"],
  close: ["Close", "关闭"],
  greeting: ["What would you like to know?", "想聊点什么？"],
  private: ["Chats are kept in this browser only.", "对话只保存在此浏览器中。"],
  messages: ["Messages", "消息"],
  message: ["Message", "消息"],
  placeholder: ["Write a message", "输入消息"],
  keys: ["Enter sends, Shift+Enter makes a new line, Esc stops", "Enter 发送，Shift+Enter 换行，Esc 停止"],
  send: ["Send", "发送"],
  stop: ["Stop", "停止"],
  latest: ["To the latest", "回到最新"],
  user: ["You", "你"],
  assistant: ["Answer", "回答"],
  reasoning: ["Reasoning", "思考过程"],
  thinking: ["Thinking…", "思考中…"],
  copy: ["Copy", "复制"],
  copied: ["Copied", "已复制"],
  edit: ["Edit", "编辑"],
  again: ["Answer again", "重新回答"],
  cuts: ["What follows this message will be removed.", "此消息之后的内容将被移除。"],
  answering: ["Answering…", "正在回答…"],
  answered: ["Answered.", "回答完毕。"],
  stopped: ["Stopped.", "已停止。"],
  stats: ["{0} tokens · {1} tokens/s · first after {2} s", "{0} token · {1} token/秒 · 首字 {2} 秒"],
  length: ["Cut off at the limit of tokens.", "已达 token 上限，回答被截断。"],
  retry: ["Try again", "重试"],
  dismiss: ["Dismiss", "知道了"],
  offline: ["The server does not answer. Is glm4-metal serve running?", "服务器没有响应。glm4-metal serve 在运行吗？"],
  cut: ["The connection broke before the answer was complete.", "回答完成之前连接中断。"],
  garbled: ["The server sent something that is no answer:", "服务器返回了无法识别的内容："],
  unauthorized: ["The server wants an API key.", "服务器需要 API 密钥。"],
  tooLong: ["This chat is longer than the model can take. Start a new one, or edit an earlier message.",
    "对话超出了模型的上下文长度。请新建对话，或编辑较早的消息。"],
  busy: ["The server is busy.", "服务器繁忙。"],
  busyFor: ["The server is busy. It asks to try again in {0} s.", "服务器繁忙，请在 {0} 秒后重试。"],
  failed: ["The server could not answer (status {0}).", "服务器无法回答（状态 {0}）。"],
  brokeOff: ["The server broke the answer off.", "服务器中断了回答。"],
  full: ["The browser's storage is full: this chat is not kept. Export and delete old ones.",
    "浏览器存储已满：此对话未保存。请导出并删除旧对话。"],
  noStorage: ["The browser keeps nothing for this page: chats are lost when it is closed.",
    "浏览器不允许此页面保存数据：关闭后对话会丢失。"],
};

const chinese = /^zh\b/i.test(navigator.language);

// t gives a text, with {0}, {1} … filled in.
export function t(key, ...values) {
  return words[key][chinese ? 1 : 0].replace(/\{(\d)\}/g, (_, i) => values[i]);
}

// translate fills in an element's parts: data-t is their text, data-label their name and tooltip, data-hint a placeholder.
export function translate(root) {
  for (const e of root.querySelectorAll("[data-t]")) e.textContent = t(e.dataset.t);
  for (const e of root.querySelectorAll("[data-hint]")) e.placeholder = t(e.dataset.hint);
  for (const e of root.querySelectorAll("[data-label]")) {
    e.ariaLabel = t(e.dataset.label);
    if (e.tagName === "BUTTON") e.title = e.ariaLabel;
  }
}

export const language = chinese ? "zh-CN" : "en";
