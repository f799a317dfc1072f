// An MCP client on the TypeScript SDK. client.mjs URL
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';

const client = new Client({ name: 'ts-client', version: '0.9.1' });
const transport = new StreamableHTTPClientTransport(new URL(process.argv[2]));
await client.connect(transport);
await client.listTools();
await client.callTool({ name: 'start_build', arguments: { branch: 'main' } });
await transport.terminateSession();
await client.close();
