/** Agents write any JSON: what cannot be drawn must not take the page with it. */
import { Component, type ReactNode } from "react";

interface Props {
  /** What is drawn; when it is another, it is tried again. */
  of: unknown;
  children: ReactNode;
}

interface State {
  failed: { of: unknown } | null;
}

export class Boundary extends Component<Props, State> {
  override state: State = { failed: null };

  static getDerivedStateFromProps({ of }: Props, { failed }: State): State | null {
    return failed && failed.of !== undefined && failed.of !== of ? { failed: null } : null;
  }

  static getDerivedStateFromError(): State {
    return { failed: { of: undefined } };
  }

  override componentDidCatch(): void {
    this.setState({ failed: { of: this.props.of } });
  }

  override render(): ReactNode {
    return this.state.failed ? <p className="error-text">This could not be drawn.</p> : this.props.children;
  }
}
