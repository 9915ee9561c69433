/** The bar above everything: whether what is shown is live is always in sight. */
import type { ReactNode } from "react";
import { access } from "./access";
import { Connection } from "./connection";
import { DemoButton } from "./demo";
import { BackIcon, KeysIcon, MoonIcon, SunIcon } from "./icons";
import { linkTo } from "./route";
import { useStore } from "./store";
import type { useTheme } from "./theme";

interface Props {
  shown: string | null;
  theme: ReturnType<typeof useTheme>;
  onHelp: () => void;
}

export function TopBar({ shown, theme: { theme, toggle }, onHelp }: Props): ReactNode {
  const { demo, version } = useStore(access);
  return (
    <header className="top-bar">
      {shown !== null && (
        <a className="icon-button only-narrow" href={linkTo(null)} aria-label="Back to the sessions" data-testid="back">
          <BackIcon />
        </a>
      )}
      <a className="brand" href={linkTo(null)} title={version ? `plue-sync ${version}` : "plue-sync"}>
        <img src="/favicon.svg" alt="" width="20" height="20" />
        <span>plue-sync</span>
      </a>
      <Connection />
      <span className="top-bar-end">
        {demo && <DemoButton />}
        <button type="button" className="icon-button not-narrow" aria-label="Keys" title="Keys (?)" onClick={onHelp}>
          <KeysIcon />
        </button>
        <button type="button" className="icon-button" aria-label={theme === "dark" ? "Light theme" : "Dark theme"} title={theme === "dark" ? "Light (t)" : "Dark (t)"} onClick={toggle} data-testid="theme-toggle">
          {theme === "dark" ? <SunIcon /> : <MoonIcon />}
        </button>
      </span>
    </header>
  );
}
