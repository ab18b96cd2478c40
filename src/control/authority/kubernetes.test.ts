/** Certificates by the CertificateSigningRequests of Kubernetes, against a small server that speaks that API as its documentation has it; no cluster takes part. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { systemClock } from '#base/clock'
import { silent } from '#base/log'
import { makeCsr, readCsr } from '#identity/csr'
import { createRoot, issueLeaf } from '#identity/issue'
import { newKey } from '#identity/key'
import { type SpiffeId, workloadId } from '#identity/spiffe'
import { temporaryFolder } from '#io/files'
import { readAuthorityFile } from '#resources/authority-file'
import { openAuthority, openIssuer } from '../authority.ts'
import { IssuerDown } from './issuer.ts'
import { certify } from '../../../test/harness/certify.ts'

const trustDomain = 'test.mesh'
const orders = workloadId(trustDomain, { namespace: 'default', serviceAccount: 'orders' })
const prefix = '/apis/certificates.k8s.io/v1/certificatesigningrequests'

type Condition = { type: string; status: string; reason?: string; message?: string }
type Kept = {
  apiVersion: string
  kind: string
  metadata: { name: string; generateName?: string; resourceVersion: string }
  spec: { request: string; signerName: string; expirationSeconds: number; usages: string[] }
  status: { conditions?: Condition[]; certificate?: string }
}

/** decide: what an approver of the cluster does with a new request. */
async function cluster(folder: string, decide: (request: Kept) => Condition[] = () => []) {
  const at = (name: string): string => `${folder}/${name}`
  certify({ key: at('api.key'), cert: at('api.pem'), subject: '/CN=api', names: ['DNS:localhost', 'IP:127.0.0.1'] })
  const root = createRoot(trustDomain, await newKey(), Date.now())
  writeFileSync(at('root.pem'), root.root)
  writeFileSync(at('token'), 'the-token\n')
  const requests = new Map<string, Kept>()
  const seen: string[] = []
  let canApprove = true
  let count = 0
  const sign = (request: Kept): void => {
    if (request.status.conditions?.some(({ type }) => type === 'Approved') !== true) return
    const csr = Buffer.from(request.spec.request, 'base64').toString()
    const { publicKey, uris } = readCsr(csr)
    const lifeMs = request.spec.expirationSeconds * 1000
    const { chain } = issueLeaf(root, publicKey, uris[0] as SpiffeId, Date.now(), { lifeMs, dns: ['localhost'], ips: ['127.0.0.1'] })
    request.status = { ...request.status, certificate: Buffer.from(chain.join('')).toString('base64') }
  }
  const server = createServer({ key: readFileSync(at('api.key')), cert: readFileSync(at('api.pem')) }, (request, response) => {
    const parts: Buffer[] = []
    request.on('data', (part: Buffer) => parts.push(part))
    request.on('end', () => {
      const { method = '', url = '' } = request
      seen.push(`${method} ${url}`)
      const answer = (status: number, body: unknown): void => {
        response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
      }
      const refuse = (code: number, reason: string, message: string): void =>
        answer(code, { kind: 'Status', apiVersion: 'v1', status: 'Failure', message, reason, code })
      if (request.headers.authorization !== 'Bearer the-token') return refuse(401, 'Unauthorized', 'Unauthorized')
      const body = parts.length === 0 ? undefined : (JSON.parse(Buffer.concat(parts).toString()) as Kept)
      if (method === 'POST' && url === prefix) {
        const { spec, metadata } = body!
        const pem = Buffer.from(spec.request, 'base64').toString()
        if (!pem.startsWith('-----BEGIN CERTIFICATE REQUEST-----') || spec.expirationSeconds < 600 || spec.usages.length === 0)
          return refuse(422, 'Invalid', 'CertificateSigningRequest.certificates.k8s.io is invalid: spec')
        const name = `${metadata.generateName}${(count += 1)}`
        const kept: Kept = { ...body!, metadata: { ...metadata, name, resourceVersion: '1' }, status: {} }
        kept.status = { conditions: decide(kept) }
        requests.set(name, kept)
        sign(kept)
        return answer(201, { ...kept, status: {} })
      }
      const [name = '', sub] = url.slice(prefix.length + 1).split('/')
      const kept = requests.get(name)
      if (kept === undefined) return refuse(404, 'NotFound', `certificatesigningrequests.certificates.k8s.io "${name}" not found`)
      if (method === 'PUT' && sub === 'approval') {
        if (!canApprove) return refuse(403, 'Forbidden', 'user not permitted to approve requests with signerName "mesh.example/weft"')
        kept.status = { ...kept.status, conditions: body!.status.conditions ?? [] }
        sign(kept)
        return answer(200, kept)
      }
      if (method === 'DELETE') requests.delete(name)
      answer(200, kept)
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const settings = {
    type: 'Kubernetes',
    server: `https://127.0.0.1:${(server.address() as AddressInfo).port}`,
    signerName: 'mesh.example/weft',
    tokenFile: at('token'),
    caFile: at('api.pem'),
    roots: at('root.pem'),
    timeout: '1s',
  }
  return {
    seen,
    requests,
    forbid: () => (canApprove = false),
    open: (more: object = {}) =>
      openAuthority({
        folder: at('own'),
        trustDomain,
        clock: systemClock,
        log: silent,
        issuer: onChange =>
          openIssuer(readAuthorityFile(JSON.stringify({ ...settings, ...more }), 'authority.yaml'), {
            trustDomain,
            clock: systemClock,
            log: silent,
            onChange,
            variables: {},
          }),
      }),
    [Symbol.dispose]: () => void server.close(),
  }
}

const approved: Condition = { type: 'Approved', status: 'True' }

test('a request that somebody of the cluster approves becomes a certificate, asked for as the API has it, and is removed', async () => {
  await using place = await temporaryFolder()
  const asked: Kept[] = []
  using api = await cluster(place.path, request => (asked.push(request), [approved]))
  const authority = await api.open()
  try {
    assert.equal(authority.issuer, 'Kubernetes')
    const { chain, notAfter } = await authority.issue(makeCsr(await newKey(), orders), orders, 3_600_000)
    assert.equal(chain.length, 2)
    assert.ok(Math.abs(notAfter - Date.now() - 3_600_000) < 60_000)
    const { spec } = asked.at(-1)!
    assert.deepEqual(spec.usages, ['digital signature', 'server auth', 'client auth'])
    assert.deepEqual([spec.signerName, spec.expirationSeconds], ['mesh.example/weft', 3600])
    assert.equal(api.requests.size, 0)
    assert.ok(!api.seen.some(each => each.endsWith('/approval')))
  } finally {
    authority.close()
  }
})

test('it approves by itself where it is told to and may, and says so where it may not', async () => {
  await using place = await temporaryFolder()
  using api = await cluster(place.path)
  const authority = await api.open({ approve: true })
  try {
    await authority.issue(makeCsr(await newKey(), orders), orders)
    assert.ok(api.seen.some(each => each.startsWith('PUT') && each.endsWith('/approval')))
    api.forbid()
    const csr = makeCsr(await newKey(), orders)
    await assert.rejects(
      authority.issue(csr, orders),
      (thrown: Error) => thrown instanceof IssuerDown && /answers 403 to its approval: user not permitted to approve/.test(thrown.message),
    )
    assert.equal(api.requests.size, 0)
  } finally {
    authority.close()
  }
})

test('a request that is denied, failed or never looked at is told with the reason, and so is a token that is not taken', async () => {
  await using place = await temporaryFolder()
  let verdict: Condition[] = [approved]
  using api = await cluster(place.path, () => verdict)
  const authority = await api.open()
  try {
    const ask = async (says: RegExp): Promise<void> => {
      const csr = makeCsr(await newKey(), orders)
      await assert.rejects(authority.issue(csr, orders), says)
    }
    verdict = [{ type: 'Denied', status: 'True', reason: 'Policy', message: 'not this namespace' }]
    await ask(/the request weft-\d+ is denied: Policy not this namespace/)
    verdict = [approved, { type: 'Failed', status: 'True', reason: 'SignerValidationFailure' }]
    await ask(/is failed: SignerValidationFailure/)
    verdict = []
    await ask(/was not approved in time: kubectl certificate approve/)
    writeFileSync(`${place.path}/token`, 'another')
    await ask(/it answers 401 to the request for a certificate: Unauthorized/)
  } finally {
    authority.close()
  }
})
