/** Line icons, 16 by 16, in the colour of the text around them. They say nothing to a screen reader: the text beside them does. */
import type { ReactNode } from "react";

function icon(children: ReactNode, width = 1.5) {
  return function Icon({ size = 16, className = "" }: { size?: number; className?: string }): ReactNode {
    return (
      <svg
        className={`icon ${className}`}
        width={size}
        height={size}
        viewBox="0 0 16 16"
        fill="none"
        stroke="currentColor"
        strokeWidth={width}
        strokeLinecap="round"
        strokeLinejoin="round"
        aria-hidden="true"
        focusable="false"
      >
        {children}
      </svg>
    );
  };
}

export const SearchIcon = icon(<path d="M7 12A5 5 0 1 0 7 2a5 5 0 0 0 0 10Zm3.6-1.4L14 14" />);
export const ChevronIcon = icon(<path d="m6 4 4 4-4 4" />);
export const BackIcon = icon(<path d="M13 8H3m4.5-4.5L3 8l4.5 4.5" />);
export const CheckIcon = icon(<path d="m3.5 8.5 3 3 6-7" />, 1.75);
export const FailedIcon = icon(<path d="M8 1.75 15 14H1L8 1.75Zm0 4.75v3.25m0 2v.1" />);
export const AbortedIcon = icon(<path d="M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12ZM5.5 5.5l5 5" />);
export const WaitingIcon = icon(<path d="M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12Zm0-9.5V8l2.2 1.4" />);
export const SunIcon = icon(<path d="M8 11a3 3 0 1 0 0-6 3 3 0 0 0 0 6ZM8 1v1.2M8 13.8V15M1 8h1.2M13.8 8H15M3.05 3.05l.85.85m8.2 8.2.85.85m0-9.9-.85.85m-8.2 8.2-.85.85" />);
export const MoonIcon = icon(<path d="M13.5 9.7A5.9 5.9 0 0 1 6.3 2.5a5.9 5.9 0 1 0 7.2 7.2Z" />);
export const KeysIcon = icon(<path d="M2.5 4h11A1.5 1.5 0 0 1 15 5.5v5a1.5 1.5 0 0 1-1.5 1.5h-11A1.5 1.5 0 0 1 1 10.5v-5A1.5 1.5 0 0 1 2.5 4ZM4 6.7h.01M6.7 6.7h.01M9.3 6.7h.01M12 6.7h.01M5 9.5h6" />);
export const PlayIcon = icon(<path d="M4.5 2.8v10.4L13 8 4.5 2.8Z" />);
export const EyeIcon = icon(<path d="M1 8s2.5-4.7 7-4.7S15 8 15 8s-2.5 4.7-7 4.7S1 8 1 8Zm7 2a2 2 0 1 0 0-4 2 2 0 0 0 0 4Z" />);
export const PanelIcon = icon(<path d="M3 2.5h10A1.5 1.5 0 0 1 14.5 4v8a1.5 1.5 0 0 1-1.5 1.5H3A1.5 1.5 0 0 1 1.5 12V4A1.5 1.5 0 0 1 3 2.5Zm7 0v11" />);
export const DownIcon = icon(<path d="M8 3v10m4.2-4.2L8 13 3.8 8.8" />);
export const SendIcon = icon(<path d="M8 13V3M3.8 7.2 8 3l4.2 4.2" />, 1.75);
export const CloseIcon = icon(<path d="m4 4 8 8m0-8-8 8" />);
export const FolderIcon = icon(<path d="M1.5 4.5A1.5 1.5 0 0 1 3 3h3l1.5 2H13a1.5 1.5 0 0 1 1.5 1.5v5A1.5 1.5 0 0 1 13 13H3a1.5 1.5 0 0 1-1.5-1.5v-7Z" />);
export const FileIcon = icon(<path d="M9.5 1.5H4.3A1.3 1.3 0 0 0 3 2.8v10.4a1.3 1.3 0 0 0 1.3 1.3h7.4a1.3 1.3 0 0 0 1.3-1.3V5L9.5 1.5Zm0 0V5H13" />);
export const CopyIcon = icon(<path d="M6.3 5.3h6.4a1 1 0 0 1 1 1v6.4a1 1 0 0 1-1 1H6.3a1 1 0 0 1-1-1V6.3a1 1 0 0 1 1-1Zm-2.6 5.4h-.4a1 1 0 0 1-1-1V3.3a1 1 0 0 1 1-1h6.4a1 1 0 0 1 1 1v.4" />);
export const ArchiveIcon = icon(<path d="M2 2.5h12v3H2v-3Zm1 3v7a1 1 0 0 0 1 1h8a1 1 0 0 0 1-1v-7M6.5 8.5h3" />);
export const BranchIcon = icon(<path d="M4.5 10.5v-5m0 0a1.75 1.75 0 1 0 0-3.5 1.75 1.75 0 0 0 0 3.5Zm0 5a1.75 1.75 0 1 0 0 3.5 1.75 1.75 0 0 0 0-3.5Zm7-5a1.75 1.75 0 1 0 0-3.5 1.75 1.75 0 0 0 0 3.5Zm0 0v.5A2.5 2.5 0 0 1 9 8.5H6.5" />);
export const OfflineIcon = icon(<path d="M2 2l12 12M1.5 6.2a9.6 9.6 0 0 1 3-1.9m3-.7A9.6 9.6 0 0 1 14.5 6.2M4 8.8a6 6 0 0 1 2.4-1.4m3.2.1A6 6 0 0 1 12 8.8M6.4 11.3a2.6 2.6 0 0 1 3.2 0" />);
export const LockIcon = icon(<path d="M4 7h8a1 1 0 0 1 1 1v5a1 1 0 0 1-1 1H4a1 1 0 0 1-1-1V8a1 1 0 0 1 1-1Zm1.2 0V4.8a2.8 2.8 0 0 1 5.6 0V7" />);
export const TrashIcon = icon(<path d="M2.5 4h11M6 4V2.5h4V4m2.3 0-.6 9.5H4.3L3.7 4" />);

/** Turns while something runs. */
export function Spinner({ size = 16 }: { size?: number }): ReactNode {
  return (
    <svg className="icon spinner" width={size} height={size} viewBox="0 0 16 16" fill="none" strokeWidth="1.9" aria-hidden="true" focusable="false">
      <circle cx="8" cy="8" r="6" stroke="currentColor" opacity="0.22" />
      <path d="M14 8a6 6 0 0 0-6-6" stroke="currentColor" strokeLinecap="round" />
    </svg>
  );
}
