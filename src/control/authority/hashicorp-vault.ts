/** The PKI engine of HashiCorp Vault, or of OpenBao, signs (its HTTP API, `/sign/:role`). */

import type { SettingsOf } from '#resources/authority-file'
import { askHttp, type Reply } from '#io/ask-http'
import { readText } from '#io/files'
import type { Foreign } from './foreign.ts'

type Settings = SettingsOf<'Vault'>
type Said = {
  readonly errors?: readonly string[]
  readonly data?: { readonly certificate?: string; readonly ca_chain?: readonly string[]; readonly issuing_ca?: string }
  readonly auth?: { readonly client_token?: string; readonly lease_duration?: number }
}

const timeoutMs = 10_000

/** variables: of the environment. */
export function vaultAuthority(settings: Settings, variables: Readonly<Record<string, string | undefined>>): Foreign {
  const { address, mount, role, namespace, roots, caFile } = settings
  const base = `${address.replace(/\/+$/, '')}/v1`
  const ask = async (path: string, token: string | undefined, body?: unknown): Promise<Reply> =>
    askHttp({
      url: `${base}/${path}`,
      method: body === undefined ? 'GET' : 'POST',
      headers: {
        ...(namespace === undefined ? {} : { 'x-vault-namespace': namespace }),
        ...(token === undefined ? {} : { 'x-vault-token': token }),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      ca: caFile === undefined ? undefined : await readText(caFile),
      timeoutMs,
    })
  const token = tokenOf(settings, variables, ask)

  return {
    type: 'Vault',
    place: `${address} (mount ${mount}, role ${role})`,
    async roots() {
      if (roots !== undefined) return readText(roots)
      const { status, body } = await ask(`${mount}/ca_chain`, undefined)
      if (status === 200 && body.includes('BEGIN CERTIFICATE')) return body
      const own = await ask(`${mount}/ca/pem`, undefined)
      if (own.status === 200) return own.body
      throw new Error(`${address}: ${whyNot(status, body)} (GET ${mount}/ca_chain)`)
    },
    async sign({ csr, identity, lifeMs, dns = [], ips = [] }) {
      const wanted = {
        csr,
        format: 'pem',
        ttl: `${Math.max(1, Math.floor(lifeMs / 1000))}s`,
        uri_sans: identity,
        // Its engine puts the common name among the names unless told not to; there is none.
        exclude_cn_from_sans: true,
        ...(dns.length === 0 ? {} : { alt_names: dns.join(',') }),
        ...(ips.length === 0 ? {} : { ip_sans: ips.join(',') }),
      }
      const { status, body } = await ask(`${mount}/sign/${role}`, await token(), wanted)
      const { data } = status === 200 ? parsed(body) : {}
      if (data?.certificate === undefined) throw new Error(whyNot(status, body))
      const chain = [data.certificate, ...(data.ca_chain ?? (data.issuing_ca === undefined ? [] : [data.issuing_ca]))]
      return chain.map(pem => `${pem.trim()}\n`).join('')
    },
  }
}

function tokenOf(
  { tokenFile, tokenVariable = 'VAULT_TOKEN', appRole }: Settings,
  variables: Readonly<Record<string, string | undefined>>,
  ask: (path: string, token: undefined, body: unknown) => Promise<Reply>,
): () => Promise<string> {
  if (tokenFile !== undefined) return async () => (await readText(tokenFile)).trim()
  if (appRole === undefined)
    return async () => {
      const token = variables[tokenVariable]
      if (token === undefined || token === '') throw new Error(`the variable ${tokenVariable} holds no token`)
      return token
    }
  let had: { readonly token: string; readonly until: number } | undefined
  return async () => {
    if (had !== undefined && Date.now() < had.until) return had.token
    const secretId = (await readText(appRole.secretIdFile)).trim()
    const { status, body } = await ask(`auth/${appRole.mount}/login`, undefined, { role_id: appRole.roleId, secret_id: secretId })
    const { auth } = status === 200 ? parsed(body) : {}
    if (auth?.client_token === undefined) throw new Error(`the login by AppRole failed: ${whyNot(status, body)}`)
    had = { token: auth.client_token, until: Date.now() + (auth.lease_duration ?? 0) * 500 }
    return had.token
  }
}

function parsed(body: string): Said {
  try {
    return JSON.parse(body) as Said
  } catch {
    return {}
  }
}

function whyNot(status: number, body: string): string {
  const said = parsed(body).errors?.join('; ').replaceAll(/\s+/g, ' ').slice(0, 500)
  return said === undefined || said === '' ? `it answers ${status}` : `it answers ${status}: ${said}`
}
