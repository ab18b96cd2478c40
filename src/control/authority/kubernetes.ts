/**
 * A signer of a Kubernetes cluster signs, asked by the CertificateSigningRequests of `certificates.k8s.io/v1`, such as cert-manager's or one of the cluster's own.
 *
 *   create ──▶ somebody approves (or this does, where it may) ──▶ the signer writes status.certificate ──▶ read it, and remove the request
 */

import { durationMs } from '#resources/duration'
import type { SettingsOf } from '#resources/authority-file'
import { askHttp, type HttpQuestion, type Reply } from '#io/ask-http'
import { readText } from '#io/files'
import type { Foreign } from './foreign.ts'

type Condition = { readonly type: string; readonly status?: string; readonly reason?: string; readonly message?: string }
type Request = {
  readonly metadata: { readonly name: string; readonly resourceVersion?: string }
  readonly status?: { readonly conditions?: readonly Condition[]; readonly certificate?: string }
}

const timeoutMs = 10_000
const pollMs = 250
/** What the API takes at least (spec.expirationSeconds). */
const leastSeconds = 600
const base64 = (text: string): string => Buffer.from(text).toString('base64')

export function kubernetesAuthority(settings: SettingsOf<'Kubernetes'>): Foreign {
  const { server, signerName, tokenFile, caFile, roots, approve, timeout } = settings
  const collection = `${server.replace(/\/+$/, '')}/apis/certificates.k8s.io/v1/certificatesigningrequests`
  const ask = async (path: string, method: NonNullable<HttpQuestion['method']>, body?: unknown): Promise<Reply> =>
    askHttp({
      url: `${collection}${path}`,
      method,
      headers: {
        accept: 'application/json',
        // Read each time: the kubelet renews it.
        authorization: `Bearer ${(await readText(tokenFile)).trim()}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      ca: caFile === undefined ? undefined : await readText(caFile),
      timeoutMs,
    })
  const demand = async (what: string, ...asked: Parameters<typeof ask>): Promise<Request> => {
    const { status, body } = await ask(...asked)
    if (status === 200 || status === 201) return JSON.parse(body) as Request
    throw new Error(`it answers ${status} to ${what}: ${messageOf(body)}`)
  }

  return {
    type: 'Kubernetes',
    place: `${server} (signer ${signerName})`,
    roots: () => readText(roots),
    async sign({ csr, identity, lifeMs }) {
      const created = await demand('the request for a certificate', '', 'POST', {
        apiVersion: 'certificates.k8s.io/v1',
        kind: 'CertificateSigningRequest',
        metadata: {
          generateName: 'weft-',
          labels: { 'app.kubernetes.io/managed-by': 'weft' },
          annotations: { 'weft.dev/identity': identity },
        },
        spec: {
          request: base64(csr),
          signerName,
          expirationSeconds: Math.max(leastSeconds, Math.floor(lifeMs / 1000)),
          usages: ['digital signature', 'server auth', 'client auth'],
        },
      })
      const path = `/${encodeURIComponent(created.metadata.name)}`
      try {
        if (approve) await demand('its approval', `${path}/approval`, 'PUT', approved(created))
        return await issued(() => demand('a look at the request', path, 'GET'), created.metadata.name, durationMs(timeout))
      } finally {
        // What is left is removed by the cluster within a day.
        await ask(path, 'DELETE').catch(() => undefined)
      }
    },
  }
}

const approved = (request: Request): Request => ({
  ...request,
  status: {
    ...request.status,
    conditions: [
      ...(request.status?.conditions ?? []),
      { type: 'Approved', status: 'True', reason: 'ApprovedByWeft', message: 'the control plane of the mesh knows who asks' },
    ],
  },
})

async function issued(look: () => Promise<Request>, name: string, withinMs: number): Promise<string> {
  const end = Date.now() + withinMs
  for (;;) {
    const { conditions = [], certificate } = (await look()).status ?? {}
    const against = conditions.find(({ type, status = 'True' }) => (type === 'Denied' || type === 'Failed') && status === 'True')
    if (against !== undefined)
      throw new Error(`the request ${name} is ${against.type.toLowerCase()}: ${against.reason ?? ''} ${against.message ?? ''}`.trim())
    if (certificate !== undefined && certificate !== '') return Buffer.from(certificate, 'base64').toString('utf8')
    if (Date.now() > end) {
      const isApproved = conditions.some(({ type }) => type === 'Approved')
      throw new Error(
        isApproved
          ? `the request ${name} was approved and not signed in time: does its signer run?`
          : `the request ${name} was not approved in time: kubectl certificate approve, an approver of the cluster, or approve: true`,
      )
    }
    await new Promise(resolve => setTimeout(resolve, pollMs))
  }
}

function messageOf(body: string): string {
  try {
    return String((JSON.parse(body) as { readonly message?: string }).message ?? body).slice(0, 500)
  } catch {
    return body.slice(0, 500)
  }
}
