// An MCP server on the TypeScript SDK. server.mjs ADDRESS PORT
import http from 'node:http';
import { randomUUID } from 'node:crypto';
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import { z } from 'zod';

const sessions = new Map();
const make = () => {
  const server = new McpServer({ name: 'builds', version: '2.5.0' });
  server.registerTool('start_build', { description: 'Starts a build.', inputSchema: { branch: z.string() } },
    async ({ branch }) => ({ content: [{ type: 'text', text: `building ${branch}` }] }));
  return server;
};
const body = request => new Promise(done => {
  let text = '';
  request.on('data', piece => { text += piece; });
  request.on('end', () => done(text ? JSON.parse(text) : undefined));
});
http.createServer(async (request, response) => {
  let transport = sessions.get(request.headers['mcp-session-id']);
  if (!transport) {
    transport = new StreamableHTTPServerTransport({
      sessionIdGenerator: randomUUID,
      onsessioninitialized: id => sessions.set(id, transport),
    });
    await make().connect(transport);
  }
  await transport.handleRequest(request, response, request.method === 'POST' ? await body(request) : undefined);
}).listen(Number(process.argv[3]), process.argv[2]);
