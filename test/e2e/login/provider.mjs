// oidc-provider as a process: node provider.mjs PACKAGE_FOLDER REDIRECT_URI AFTER_LOGOUT. Says its issuer; whoever types a name is that.
import { createServer } from 'node:http'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { argv } from 'node:process'
import { pathToFileURL } from 'node:url'

const [folder, redirectUri, afterLogout] = argv.slice(2)
const found = createRequire(join(folder, 'node_modules', 'x.js')).resolve('oidc-provider')
const { default: Provider } = await import(pathToFileURL(found).href)

const server = createServer()
server.listen(0, '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`
  const provider = new Provider(issuer, {
    clients: [
      {
        client_id: 'shop',
        client_secret: 'a-secret-of-the-shop',
        redirect_uris: [redirectUri],
        post_logout_redirect_uris: [afterLogout],
        grant_types: ['authorization_code', 'refresh_token'],
        id_token_signed_response_alg: 'RS256',
      },
    ],
    cookies: { keys: ['not so secret'] },
    pkce: { required: () => true },
    claims: { openid: ['sub'], profile: ['name', 'groups'] },
    conformIdTokenClaims: false,
    findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id, name: `${id} of the shop`, groups: ['editors'] }) }),
  })
  server.on('request', provider.callback())
  console.log(issuer)
})
