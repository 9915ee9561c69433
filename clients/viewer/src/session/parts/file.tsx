/** A file that came with a message: images that came along are shown, others named. */
import type { FilePart } from "@plue/sync";
import { type ReactNode, useState } from "react";
import { FileIcon } from "../../icons";
import { imageOf, linkOf } from "../../markdown/links";

export function FileCard({ part }: { part: FilePart }): ReactNode {
  const [isBroken, setBroken] = useState(false);
  const name = part.filename ?? nameOf(part.url) ?? "file";
  const image = imageOf(part.url);
  if (image !== null && !isBroken) {
    return (
      <figure className="image">
        <img src={image} alt={name} loading="lazy" onError={() => setBroken(true)} />
        <figcaption title={name}>{name}</figcaption>
      </figure>
    );
  }
  const link = linkOf(part.url);
  const chip = (
    <>
      <FileIcon size={14} />
      <span className="file-name">{name}</span>
      {part.mime && <span className="file-mime">{part.mime}</span>}
    </>
  );
  if (link === null) {
    return (
      <span className="file" title={part.url ?? name}>
        {chip}
      </span>
    );
  }
  return (
    <a className="file" href={link} title={name} target="_blank" rel="noreferrer noopener">
      {chip}
    </a>
  );
}

function nameOf(url: string | null): string | undefined {
  if (!url || url.startsWith("data:")) return undefined;
  return url.split(/[?#]/)[0]?.split("/").filter(Boolean).at(-1);
}
