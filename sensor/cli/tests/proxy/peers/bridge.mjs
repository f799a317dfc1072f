// An MCP client that speaks over standard input and output to `mcp-remote`. bridge.mjs URL
//
// Prints what it got as JSON, or what the SDK throws and `mcp-remote` says.
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';

const args = ['node_modules/mcp-remote/dist/proxy.js', process.argv[2], '--transport', 'http-only'];
if (process.env.HTTPS_PROXY) args.push('--enable-proxy');
const transport = new StdioClientTransport({ command: process.execPath, args, env: process.env, stderr: 'pipe' });
let said = '';
transport.stderr.on('data', piece => { said += piece; });
const client = new Client({ name: 'bridge', version: '1.0.0' });
try {
  await client.connect(transport, { timeout: 15000 });
  const tools = (await client.listTools()).tools.map(tool => tool.name);
  const answer = await client.callTool({ name: 'find_part', arguments: { name: 'gasket' } });
  console.log(JSON.stringify({ server: client.getServerVersion().name, tools, text: answer.content[0].text }));
} catch (error) {
  console.log(`${error.name}: ${error.message}\n${said}`);
  process.exitCode = 1;
}
await client.close();
process.exit();
