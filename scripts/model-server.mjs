// A scripted model on loopback that speaks OpenAI's chat completions over SSE. Used by the demo and the tests;
// only the paid model is faked, over its own wire format.
import { createServer } from 'node:http';

/**
 * @param {(request: {messages: {role: string, content: unknown}[], turn: number}) => object} script
 *   Returns one of {text}, {calls: [{name, arguments}]}, {status, body, headers}; `turn` counts from 0.
 * @returns {Promise<{url: string, requests: object[], close(): Promise<void>}>}
 */
export async function startModel(script) {
  const requests = [];
  const server = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk) => {
      body += chunk;
    });
    request.on('end', () => answer(JSON.parse(body || '{}'), response, script, requests));
  });
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  const close = () => {
    server.closeAllConnections();
    return new Promise((done) => server.close(done));
  };
  return { url: `http://127.0.0.1:${server.address().port}/v1`, requests, close };
}

function answer(body, response, script, requests) {
  requests.push(body);
  const messages = body.messages ?? [];
  const turn = messages.filter((message) => message.role === 'assistant').length;
  const reply = script({ messages, turn, tools: body.tools });
  if (reply.hang === true) return;
  if (reply.status !== undefined) {
    response.writeHead(reply.status, { 'content-type': 'application/json', ...reply.headers });
    response.end(JSON.stringify(reply.body ?? { error: { message: `scripted ${reply.status}` } }));
    return;
  }
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  const send = (delta, finish = null) => {
    const chunk = {
      id: `reply-${requests.length}`,
      object: 'chat.completion.chunk',
      created: 0,
      model: body.model,
      choices: [{ index: 0, delta, finish_reason: finish }],
    };
    response.write(`data: ${JSON.stringify(chunk)}\n\n`);
  };
  send({ role: 'assistant', content: reply.text ?? '' });
  for (const [index, call] of (reply.calls ?? []).entries())
    send({
      tool_calls: [
        {
          index,
          id: `call_${requests.length}_${index}`,
          type: 'function',
          function: { name: call.name, arguments: JSON.stringify(call.arguments) },
        },
      ],
    });
  send({}, reply.calls === undefined ? 'stop' : 'tool_calls');
  const usage = { prompt_tokens: 1000, completion_tokens: 50, total_tokens: 1050 };
  response.write(
    `data: ${JSON.stringify({ id: 'usage', object: 'chat.completion.chunk', created: 0, model: body.model, choices: [], usage })}\n\n`,
  );
  response.end('data: [DONE]\n\n');
}

/** The text of a Kimi config that uses the scripted model. */
export const kimiConfig = (url) => `default_model = "scripted"
telemetry = false
[providers.loopback]
type = "openai"
base_url = "${url}"
api_key = "made-up"
[models.scripted]
provider = "loopback"
model = "scripted"
max_context_size = 200000
capabilities = ["tool_use"]
`;
