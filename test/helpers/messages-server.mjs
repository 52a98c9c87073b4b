// A scripted model on loopback that speaks Anthropic's Messages API over SSE, for tests with the real Claude Code.
import { createServer } from 'node:http';

/**
 * @param {(request: {body: object, text: string, last: string}) => {text?: string, calls?: {name: string, input: object}[]}} script
 *   `text` is the whole request as text, `last` its last message. Requests without tools (titles) are answered here.
 * @returns {Promise<{url: string, requests: object[], close(): Promise<void>}>}
 */
export async function startMessages(script) {
  const requests = [];
  const server = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk) => {
      body += chunk;
    });
    request.on('end', () => {
      if (
        !request.url.startsWith('/v1/messages') ||
        request.method !== 'POST' ||
        request.url.includes('count_tokens')
      ) {
        response.writeHead(request.url.includes('count_tokens') ? 200 : 404, { 'content-type': 'application/json' });
        response.end(JSON.stringify({ input_tokens: 100 }));
        return;
      }
      answer(JSON.parse(body), response, script, requests);
    });
  });
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    requests,
    close() {
      server.closeAllConnections();
      return new Promise((done) => server.close(done));
    },
  };
}

function answer(body, response, script, requests) {
  const main = (body.tools ?? []).some((tool) => tool.name === 'Bash');
  let reply = { text: 'ok' };
  if (main) {
    requests.push(body);
    const messages = body.messages ?? [];
    const tail = [];
    for (let index = messages.length - 1; index >= 0 && messages[index].role !== 'assistant'; index--)
      tail.unshift(messages[index]);
    reply = script({ body, text: JSON.stringify(messages), last: JSON.stringify(tail) });
  }
  const content = [
    ...(reply.text === undefined ? [] : [{ type: 'text', text: reply.text }]),
    ...(reply.calls ?? []).map((call, index) => ({
      type: 'tool_use',
      id: `toolu_${requests.length}_${index}`,
      name: call.name,
      input: call.input,
    })),
  ];
  const stop = reply.calls === undefined ? 'end_turn' : 'tool_use';
  const message = {
    id: `msg_${requests.length}`,
    type: 'message',
    role: 'assistant',
    model: body.model,
    content: [],
    stop_reason: null,
    stop_sequence: null,
    usage: { input_tokens: 10, output_tokens: 1 },
  };
  if (body.stream !== true) {
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ ...message, content, stop_reason: stop }));
    return;
  }
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  const send = (event) => response.write(`event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`);
  send({ type: 'message_start', message });
  for (const [index, block] of content.entries()) {
    const tool = block.type === 'tool_use';
    send({
      type: 'content_block_start',
      index,
      content_block: tool ? { ...block, input: {} } : { type: 'text', text: '' },
    });
    send({
      type: 'content_block_delta',
      index,
      delta: tool
        ? { type: 'input_json_delta', partial_json: JSON.stringify(block.input) }
        : { type: 'text_delta', text: block.text },
    });
    send({ type: 'content_block_stop', index });
  }
  send({
    type: 'message_delta',
    delta: { stop_reason: stop, stop_sequence: null },
    usage: { output_tokens: 10 },
  });
  send({ type: 'message_stop' });
  response.end();
}
