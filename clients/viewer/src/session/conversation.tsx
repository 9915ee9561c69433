/** The messages of a session, of which only those in sight are on the page. */
import type { MessageWithParts } from "@plue/sync";
import { memo, type ReactNode, type RefObject, useEffect, useImperativeHandle, useRef, useState } from "react";
import { Virtuoso, type VirtuosoHandle } from "react-virtuoso";
import { Boundary } from "../boundary";
import { DownIcon } from "../icons";
import { heightOf } from "./heights";
import { Message } from "./message";
import { useTail } from "./tail";

export interface ConversationHandle {
  toStart: () => void;
  toEnd: () => void;
}

interface Props {
  messages: readonly MessageWithParts[];
  handle: RefObject<ConversationHandle | null>;
}

export const Conversation = memo(function Conversation({ messages, handle }: Props): ReactNode {
  const list = useRef<VirtuosoHandle>(null);
  const tail = useTail();
  const news = useNews(messages.length, tail.isFollowing);

  // Counts for what is there at first; what comes later is measured when it comes.
  const [estimates] = useState(() => messages.map(heightOf));

  const toEnd = (): void => {
    list.current?.scrollToIndex({ index: "LAST", align: "end" });
    tail.toEnd();
  };
  useImperativeHandle(handle, () => ({
    toStart: () => {
      tail.letGo();
      list.current?.scrollTo({ top: 0 });
    },
    toEnd,
  }));

  return (
    <div className="conversation" data-testid="conversation" data-following={tail.isFollowing}>
      <Virtuoso
        ref={list}
        className="conversation-scroller"
        scrollerRef={tail.scroller}
        data={messages as MessageWithParts[]}
        initialTopMostItemIndex={{ index: "LAST", align: "end" }}
        totalListHeightChanged={tail.grew}
        increaseViewportBy={{ top: 800, bottom: 600 }}
        heightEstimates={estimates}
        computeItemKey={(_, entry) => entry.message.id}
        itemContent={(index, entry) => (
          <Boundary of={entry}>
            <Message entry={entry} isContinued={messages[index - 1]?.message.role === entry.message.role} />
          </Boundary>
        )}
        components={COMPONENTS}
        role="region"
        aria-label="Conversation"
        tabIndex={0}
      />
      {!tail.isFollowing && (
        <button type="button" className="jump" onClick={toEnd} data-testid="jump-to-latest">
          <DownIcon size={14} />
          {news > 0 ? `${news} new` : "Jump to latest"}
          <span className="sr-only">{news > 0 ? " messages, jump to latest" : ""}</span>
        </button>
      )}
    </div>
  );
});

/** Room at both ends, within what scrolls. */
const COMPONENTS = {
  Header: () => <div className="conversation-start" />,
  Footer: () => <div className="conversation-end" />,
};

/** Messages that came since the reader let go of the tail. */
function useNews(length: number, isFollowing: boolean): number {
  const [leftAt, setLeftAt] = useState(length);
  useEffect(() => {
    if (isFollowing) setLeftAt(length);
  }, [isFollowing, length]);
  return isFollowing ? 0 : Math.max(0, length - leftAt);
}
