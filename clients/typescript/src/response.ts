/** A response made again of a body that has been read. Those of some statuses may have none, not even an empty one. */
export function responseOf(body: string, head: Pick<ResponseInit, "status" | "headers">): Response {
  return new Response([204, 205, 304].includes(head.status ?? 200) ? null : body, head);
}
