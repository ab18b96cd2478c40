/** A step-ca signs, asked with one-time tokens of a JWK provisioner (its HTTP API, `/1.0/sign`). */

import { openProvisionerKey, signOneTimeToken, type ProvisionerKey } from '#identity/one-time-token'
import type { SettingsOf } from '#resources/authority-file'
import { askHttp, type Reply } from '#io/ask-http'
import { readText } from '#io/files'
import type { Foreign } from './foreign.ts'

const timeoutMs = 10_000
type Provisioner = {
  readonly type?: string
  readonly name?: string
  readonly key?: { readonly kid?: string }
  readonly encryptedKey?: string
}

export function stepAuthority({ address, provisioner, passwordFile, roots, caFile }: SettingsOf<'StepCA'>): Foreign {
  const base = address.replace(/\/+$/, '')
  const ask = async (path: string, body?: unknown): Promise<Reply> =>
    askHttp({
      url: `${base}${path}`,
      method: body === undefined ? 'GET' : 'POST',
      headers: body === undefined ? {} : { 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      ca: await readText(caFile),
      timeoutMs,
    })
  let key: ProvisionerKey | undefined
  const openKey = async (): Promise<ProvisionerKey> => {
    const { status, body } = await ask('/1.0/provisioners?limit=100')
    const all = status === 200 ? ((JSON.parse(body) as { provisioners?: readonly Provisioner[] }).provisioners ?? []) : []
    const found = all.find(({ name, type }) => name === provisioner && type === 'JWK')
    if (found?.encryptedKey === undefined) {
      const names = all.filter(({ type }) => type === 'JWK').map(({ name }) => name)
      throw new Error(`it has no JWK provisioner "${provisioner}" whose key it gives out; it has ${names.join(', ') || 'none'}`)
    }
    return openProvisionerKey(found.encryptedKey, found.key?.kid ?? '', (await readText(passwordFile)).replace(/\r?\n$/, ''))
  }

  return {
    type: 'StepCA',
    place: `${address} (provisioner ${provisioner})`,
    async roots() {
      if (roots !== undefined) return readText(roots)
      const { status, body } = await ask('/1.0/roots')
      const said = status === 200 || status === 201 ? (JSON.parse(body) as { crts?: readonly string[] }).crts : undefined
      if (said === undefined) throw new Error(`${address} answers ${status} when asked for its roots`)
      return said.join('\n')
    },
    async sign({ csr, identity, lifeMs, dns = [], ips = [] }) {
      const names = [identity, ...dns, ...ips]
      const ott = await signOneTimeToken((key ??= await openKey()), {
        issuer: provisioner,
        audience: `${base}/1.0/sign`,
        subject: identity,
        names,
        now: Date.now(),
      })
      const notAfter = `${Math.max(1, Math.floor(lifeMs / 1000))}s`
      const { status, body } = await ask('/1.0/sign', { csr, ott, notAfter })
      if (status !== 200 && status !== 201) {
        key = undefined // it may have another one now
        throw new Error(`it answers ${status}: ${body.slice(0, 500)}`)
      }
      const { certChain = [], crt, ca } = JSON.parse(body) as { certChain?: readonly string[]; crt?: string; ca?: string }
      return (certChain.length > 0 ? certChain : [crt, ca]).map(pem => `${pem?.trim()}\n`).join('')
    },
  }
}
