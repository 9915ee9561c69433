// What an agent writes, through the API.

const messages = (session) => `/v1/sessions/${session}/messages`;

/** A session as agents make them: each kind of part, in all states that a glance has to tell apart. */
export async function fill(service, session, { fails = false } = {}) {
  const now = Date.now();
  await service.ask('POST', '/v1/sessions', { id: session, directory: '/home/dev/calculator', title: `Mend the parser (${session})`, model: 'large-1' });
  await service.ask('POST', messages(session), {
    ...{ id: `${session}_1`, role: 'user', time_created: now - 90_000, status: 'completed' },
    parts: [{ type: 'text', text: 'The tests of the parser fail since yesterday. Can you find out why?' }],
  });
  await service.ask('POST', messages(session), {
    ...{ id: `${session}_2`, role: 'assistant', time_created: now - 80_000, time_completed: now - 20_000, status: fails ? 'failed' : 'completed' },
    ...{ model_model_id: 'large-1', cost: 0.0421, tokens_input: 12_400, tokens_output: 860, tokens_reasoning: 210, finish: fails ? 'error' : 'stop' },
    ...(fails && { error_message: 'The provider answered 529: overloaded' }),
    parts: [
      { type: 'reasoning', text: 'The failing test is about commas. I should look at the list rule first.', time_start: now - 79_000, time_end: now - 75_000 },
      tool('grep', { pattern: 'comma' }, 'completed', 'src/parser.rs:41: fn list()\nsrc/parser.rs:57: // comma', now - 74_000, 180),
      tool('edit', { path: 'src/parser.rs' }, 'completed', '--- a/src/parser.rs\n+++ b/src/parser.rs\n@@ -41,3 +41,3 @@\n fn list() {\n-    items(",")\n+    items(",").or_end()\n }', now - 70_000, 420),
      tool('bash', { command: 'cargo test parser' }, fails ? 'error' : 'running', fails ? 'exit code 101' : null, now - 60_000, fails ? 5_200 : undefined),
      { type: 'file', mime: 'image/svg+xml', filename: 'coverage.svg', url: `data:image/svg+xml,${encodeURIComponent('<svg xmlns="http://www.w3.org/2000/svg" width="240" height="60"><rect width="240" height="60" rx="6" fill="#dfe7ff"/><rect width="190" height="60" rx="6" fill="#7a8cff"/></svg>')}` },
      { type: 'text', text: 'Found it: **the parser accepts a trailing comma** only at the end of input.\n\n1. `list()` now takes one before `]`\n2. the test is green\n\n```rust\nfn list() { items(",").or_end() }\n```\n\n| file | change |\n|---|---|\n| src/parser.rs | +1 −1 |' },
    ],
  });
  await service.ask('POST', `/v1/sessions/${session}/snapshots`, { change_id: 'kxqmvzzt' });
  await service.ask('POST', `/v1/sessions/${session}/snapshots`, { change_id: 'pwsrnyyo' });
  await service.ask('POST', `/v1/sessions/${session}/subtasks`, { result: { title: 'Read the grammar', summary: 'Two rules end in a comma' } });
}

function tool(tool_name, input, status, output, time_start, took) {
  const tool_state = { status, input, ...(output !== null && (status === 'error' ? { error: output } : { output })) };
  return { type: 'tool', tool_name, tool_state, time_start, ...(took !== undefined && { time_end: time_start + took }) };
}

/** A message of a user. */
export async function say(service, session, text) {
  await service.ask('POST', `/v1/sessions/${session}/messages`, { role: 'user', parts: [{ type: 'text', text }] });
}

/** A message whose text comes piece by piece, as a model gives it; `between(n)` is waited for before the `n`th. */
export async function stream(service, session, id, pieces, between = async () => {}) {
  await service.ask('POST', messages(session), { id, role: 'assistant', status: 'streaming' });
  let text = '';
  for (const [n, piece] of pieces.entries()) {
    await between(n);
    text += piece;
    await service.ask('PUT', `${messages(session)}/${id}/parts/${id}_text`, { type: 'text', text, sort_order: 0 });
  }
  await service.ask('PATCH', `${messages(session)}/${id}`, { status: 'completed' });
}

/** A session of `count` messages, written at once. */
export async function long(service, session, count) {
  await service.ask('POST', '/v1/sessions', { id: session, directory: '/home/dev', title: 'A long one' });
  const list = Array.from({ length: count }, (_, n) => ({
    ...{ id: `${session}_${n}`, role: n % 2 ? 'assistant' : 'user', time_created: 1_700_000_000_000 + n, status: 'completed' },
    parts: [{ id: `${session}_${n}_0`, type: 'text', text: `This is message ${n}. ${'And it goes on. '.repeat(n % 12)}` }],
  }));
  await service.ask('PUT', messages(session), { messages: list });
}
