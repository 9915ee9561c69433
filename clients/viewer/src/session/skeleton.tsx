/** In the shape of what comes. It appears after a moment: what is there at once does not flash. */
import type { ReactNode } from "react";

export function SessionSkeleton({ isBody = false }: { isBody?: boolean }): ReactNode {
  return (
    <div className="session-skeleton" role="status" aria-label="Loading the session">
      {!isBody && (
        <div className="session-skeleton-header">
          <span className="bone bone-title" />
          <span className="bone bone-thin" />
        </div>
      )}
      <div className="session-skeleton-body">
        {[58, 92, 86, 64, 90, 48].map((width) => (
          <span key={width} className="bone" style={{ width: `${width}%` }} />
        ))}
      </div>
    </div>
  );
}
