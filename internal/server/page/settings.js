// Settings: the dialog, the theme, and where they are kept. The API key stays in the session's storage, the rest in store.

const dialog = document.getElementById("dialog");
const form = document.getElementById("form");
const wanted = document.getElementById("wanted");
const dark = matchMedia("(prefers-color-scheme: dark)");
const KEY = "glm4-metal/key";

export class Settings {
  // onFull is called when the storage is full, onKey when the reader gave another key.
  constructor(store, session, { onFull, onKey }) {
    Object.assign(this, { store, session, onFull, onKey, values: store.settings() });
    form.addEventListener("submit", (e) => this.take(e));
    document.getElementById("cancel").addEventListener("click", () => dialog.close());
    document.getElementById("settings").addEventListener("click", () => this.open());
    document.getElementById("theme").addEventListener("click", () => this.switchTheme());
    this.showTheme();
  }

  get key() {
    return this.session.getItem(KEY) ?? "";
  }

  // open shows the dialog; with keyWanted it asks for the key.
  open(keyWanted = false) {
    const { key, ...rest } = this.fields();
    key.value = this.key;
    for (const [name, input] of Object.entries(rest)) input.value = this.values[name] ?? "";
    wanted.hidden = !keyWanted;
    if (!dialog.open) dialog.showModal();
    (keyWanted ? key : rest.system).focus();
  }

  fields() {
    const { key, system, temperature, max_tokens } = form.elements;
    return { key, system, temperature, max_tokens };
  }

  take(event) {
    event.preventDefault();
    const { key, system, temperature, max_tokens } = this.fields();
    const number = (input) => (input.value === "" ? undefined : input.valueAsNumber);
    this.values.system = system.value.trim() || undefined;
    this.values.temperature = number(temperature);
    this.values.max_tokens = number(max_tokens);
    dialog.close();
    this.keep();
    const given = key.value.trim();
    if (given === this.key) return;
    this.session.setItem(KEY, given);
    this.onKey();
  }

  keep() {
    try {
      this.store.saveSettings(this.values);
    } catch {
      this.onFull();
    }
  }

  // showTheme sets what the reader chose; else the style follows the system.
  showTheme() {
    const root = document.documentElement;
    if (this.values.theme) root.dataset.theme = this.values.theme;
    else delete root.dataset.theme;
  }

  switchTheme() {
    const system = dark.matches ? "dark" : "light";
    const other = { dark: "light", light: "dark" }[this.values.theme ?? system];
    this.values.theme = other === system ? undefined : other;
    this.keep();
    this.showTheme();
  }
}
