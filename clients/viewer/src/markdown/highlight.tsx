/**
 * Colours for code: comments, strings, numbers and words of the language, told apart by one expression per family of languages. It is
 * no parser, and need not be one: what it does not know it leaves as it is.
 */
import type { ReactNode } from "react";

/** Longer code stays plain, in characters. */
const MAX_LENGTH = 30_000;

export function highlighted(text: string, language: string | undefined): ReactNode {
  const tokens = language === undefined ? undefined : FAMILIES.find(({ names }) => names.has(language.toLowerCase()))?.tokens;
  if (!tokens || text.length > MAX_LENGTH) return text;
  const drawn: ReactNode[] = [];
  let at = 0;
  for (const match of text.matchAll(tokens)) {
    const [kind] = Object.entries(match.groups ?? {}).find(([, found]) => found !== undefined) ?? [];
    if (!kind) continue;
    if (match.index > at) drawn.push(text.slice(at, match.index));
    drawn.push(
      <span key={match.index} className={`code-${kind}`}>
        {match[0]}
      </span>,
    );
    at = match.index + match[0].length;
  }
  drawn.push(text.slice(at));
  return drawn;
}

const NUMBER = String.raw`(?<number>\b(?:0[xob][\da-f_]+|\d[\d_]*(?:\.\d+)?(?:e[+-]?\d+)?)[a-z\d]*\b)`;
const STRING = String.raw`"(?:\\.|[^"\\\n])*"?|'(?:\\.|[^'\\\n])*'?`;

interface Family {
  names: ReadonlySet<string>;
  tokens: RegExp;
}

function family(names: string, comment: string, string: string, words: string, flags = ""): Family {
  const keyword = String.raw`(?<keyword>\b(?:${words.trim().split(/\s+/).join("|")})\b)`;
  return { names: new Set(names.split(" ")), tokens: new RegExp(`(?<comment>${comment})|(?<string>${string})|${NUMBER}|${keyword}`, `g${flags}`) };
}

const SLASHES = String.raw`\/\/[^\n]*|\/\*[\s\S]*?(?:\*\/|$)`;
const HASH = String.raw`(?<![\w$])#[^\n]*`;

const FAMILIES: readonly Family[] = [
  family(
    "ts tsx js jsx mjs cjs typescript javascript java kotlin kt swift dart php go golang c cpp c++ cs csharp h hpp scala zig",
    SLASHES,
    `${STRING}|\`(?:\\\\.|[^\`\\\\])*\`?`,
    `abstract any as async await bool boolean break case catch chan char class const continue default defer delete do double else enum export extends
    false final finally float for from func fun function go guard if implements import in instanceof int interface internal is let long map match new nil null
    number of override package private protected public range readonly return select self static string struct super switch this throw throws true try
    type typeof undefined union unknown val var virtual void when where while yield`,
  ),
  family(
    "rust rs",
    SLASHES,
    String.raw`b?r?#?"(?:\\.|[^"\\])*"?#?|'(?:\\.|[^'\\\n])'`,
    `Err None Ok Self Some as async await box break const continue crate dyn else enum extern false fn for if impl in let loop match mod move mut pub ref
    return self static struct super trait true type unsafe use where while`,
  ),
  family(
    "py python rb ruby sh bash zsh shell console yaml yml toml ini dockerfile makefile make nix elixir ex hcl terraform r perl pl",
    HASH,
    `"""[\\s\\S]*?(?:"""|$)|${STRING}`,
    `and as assert async await begin break case class continue def del do done elif else end ensure esac except export False false fi finally for from
    function global if import in is lambda local module None nil not null or pass raise require rescue return self set source then True true try unless
    until when while with yield`,
  ),
  family(
    "sql postgres postgresql psql mysql sqlite",
    String.raw`--[^\n]*|\/\*[\s\S]*?(?:\*\/|$)`,
    String.raw`'(?:''|[^'])*'?|"[^"\n]*"?`,
    `add all alter analyze and any as asc begin between by case cascade check column commit constraint create cross database default delete desc distinct drop
    else end exists explain false foreign from full function group having if in index inner insert into is join key left like limit not null offset on or
    order outer primary publication references returning right rollback select set slot table then trigger true union unique update using values view when
    where with`,
    "i",
  ),
  family("json jsonc json5", SLASHES, STRING, "true false null"),
  family("css scss less", String.raw`\/\*[\s\S]*?(?:\*\/|$)`, STRING, "important media supports keyframes import from to"),
];
