// An MCP client on the TypeScript SDK. client.mjs SDK URL
//
// SDK is the name of its package. Prints what it got as JSON, or what the SDK throws.
import { EnvHttpProxyAgent, setGlobalDispatcher } from 'undici';

const [sdk, url] = process.argv.slice(2);
if (process.env.HTTPS_PROXY) setGlobalDispatcher(new EnvHttpProxyAgent());
const { Client } = await import(`${sdk}/client/index.js`);
const { StreamableHTTPClientTransport } = await import(`${sdk}/client/streamableHttp.js`);

const client = new Client({ name: 'ts-client', version: '0.9.1' });
try {
  await client.connect(new StreamableHTTPClientTransport(new URL(url)));
  const tools = (await client.listTools()).tools.map(tool => tool.name);
  const answer = await client.callTool({ name: 'find_part', arguments: { name: 'gasket' } });
  console.log(JSON.stringify({ server: client.getServerVersion().name, tools, text: answer.content[0].text }));
} catch (error) {
  console.log(`${error.name}: ${error.message} ${error.cause ?? ''}`);
  process.exitCode = 1;
}
await client.close();
process.exit();
