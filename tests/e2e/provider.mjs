// A provider on loopback: `node provider.mjs LIBRARY GATEWAY SECRET` prints its issuer and serves until stdin ends.
import http from 'node:http';
import { pathToFileURL } from 'node:url';

const [library, gateway, secret] = process.argv.slice(2);
const { default: Provider } = await import(pathToFileURL(library));
let handle;
const server = http.createServer((request, response) => handle(request, response));
server.listen(0, '127.0.0.1', () => {
  const issuer = `http://localhost:${server.address().port}`;
  handle = new Provider(issuer, {
    clients: [{
      client_id: 'shop',
      client_secret: secret,
      redirect_uris: [`${gateway}/oauth2/callback`],
      post_logout_redirect_uris: [`${gateway}/`],
      grant_types: ['authorization_code', 'refresh_token'],
    }],
    claims: { openid: ['sub'], email: ['email'] },
    findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id, email: `${id}@example.com` }) }),
    ttl: { AccessToken: 2, IdToken: 600, Session: 600, Grant: 600, Interaction: 600, RefreshToken: 600 },
  }).callback();
  console.log(issuer);
});
process.stdin.on('end', () => process.exit(0)).resume();
