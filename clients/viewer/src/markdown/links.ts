/** Which addresses that an agent wrote become links and images: the web, and images that are in the address itself. */

const IMAGE_DATA = /^data:image\/(?:png|jpe?g|gif|webp|avif|bmp|svg\+xml)[;,]/i;

/** The address, if it may be followed. Everything else (`javascript:`, `file:`, ...) is text. */
export function linkOf(url: string | null): string | null {
  if (url === null) return null;
  try {
    const { protocol } = new URL(url);
    return protocol === "https:" || protocol === "http:" || IMAGE_DATA.test(url) ? url : null;
  } catch {
    return null;
  }
}

/**
 * The address, if it may be shown as an image: only one that is in the address itself. Loading one from elsewhere would tell that place
 * who looks, and whatever an agent was talked into putting into the address. Within `img` even an SVG runs no script.
 */
export function imageOf(url: string | null | undefined): string | null {
  return url && IMAGE_DATA.test(url) ? url : null;
}
