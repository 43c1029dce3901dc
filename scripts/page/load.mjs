// The page's modules under plain node: no package.json says that they are modules, so they are given as such.
import { readFile } from "node:fs/promises";

export const pages = new URL("../../internal/server/page/", import.meta.url);

export async function load(name) {
  return import("data:text/javascript," + encodeURIComponent(await readFile(new URL(name, pages), "utf8")));
}
