/** Starts the page. */
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { enter } from "./access";
import { App } from "./app";
import { applyTheme } from "./theme";
import "./styles/tokens.css";
import "./styles/base.css";
import "./styles/frame.css";
import "./styles/sessions.css";
import "./styles/session.css";
import "./styles/panel.css";
import "./styles/parts.css";
import "./styles/prose.css";

applyTheme();
void enter();

const root = document.getElementById("root");
if (!root) throw new Error("index.html has no #root");
createRoot(root).render(
  <StrictMode>
    <App />
  </StrictMode>,
);
