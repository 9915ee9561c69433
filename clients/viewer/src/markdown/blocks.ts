/**
 * Cuts Markdown into blocks that can be read one by one, so that a text which grows is not read as a whole each time: all but the
 * last block stay as they are, and keep what was drawn of them.
 */

/** Reads on from where the last text ended, if the new one begins with it. */
export class Blocks {
  #text = "";
  #blocks: readonly string[] = [];

  of(text: string): readonly string[] {
    if (text === this.#text) return this.#blocks;
    // What comes may belong to the last block but one as well: an item of a list, after a blank line.
    const settled = this.#blocks.slice(0, -2);
    const end = settled.reduce((sum, block) => sum + block.length, 0);
    const goesOn = text.length >= this.#text.length && text.startsWith(this.#text);
    this.#blocks = goesOn ? [...settled, ...cut(text.slice(end))] : cut(text);
    this.#text = text;
    return this.#blocks;
  }
}

const FENCE = /^\s*(`{3,}|~{3,})/;
const LIST_ITEM = /^\s*(?:[-*+]|\d{1,9}[.)])\s/;
const DEFINITION = /^ {0,3}\[[^\]]+\]:/m;

/** The blocks of a text; joined they are the text. */
export function cut(text: string): string[] {
  // A definition counts for the whole text.
  if (DEFINITION.test(text)) return [text];
  const blocks: string[] = [];
  let block = "";
  let fence: string | undefined;
  let isAfterBlank = false;
  for (const line of text.split(/(?<=\n)/)) {
    if (isAfterBlank && fence === undefined && line.trim() !== "" && !continues(block, line)) {
      blocks.push(block);
      block = "";
    }
    const [, mark] = FENCE.exec(line) ?? [];
    if (mark && fence === undefined) fence = mark;
    else if (mark && fence !== undefined && mark.startsWith(fence)) fence = undefined;
    block += line;
    isAfterBlank = line.trim() === "";
  }
  if (block !== "") blocks.push(block);
  return blocks;
}

/** Whether a line after a blank one still belongs to the block: it is indented, or the next item of the same list. */
function continues(block: string, line: string): boolean {
  return block === "" || /^\s/.test(line) || (LIST_ITEM.test(line) && LIST_ITEM.test(block));
}
