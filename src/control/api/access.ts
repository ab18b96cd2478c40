/** What a caller may do. Weft has no authorization of its own API yet: whoever reaches it may do everything, and this says so, so that `kubectl auth can-i` and `whoami` work. */

import type { HttpReply } from '#io/http-server'

type Review = { readonly group: string; readonly plural: string; readonly kind: string; readonly answer: () => object }

const reason = 'this control plane has no authorization: whoever can reach its API may do everything'

export const reviewKinds: readonly Review[] = [
  {
    group: 'authorization.k8s.io',
    plural: 'selfsubjectaccessreviews',
    kind: 'SelfSubjectAccessReview',
    answer: () => ({ allowed: true, reason }),
  },
  { group: 'authorization.k8s.io', plural: 'subjectaccessreviews', kind: 'SubjectAccessReview', answer: () => ({ allowed: true, reason }) },
  {
    group: 'authorization.k8s.io',
    plural: 'selfsubjectrulesreviews',
    kind: 'SelfSubjectRulesReview',
    answer: () => ({
      incomplete: false,
      resourceRules: [{ verbs: ['*'], apiGroups: ['*'], resources: ['*'] }],
      nonResourceRules: [{ verbs: ['*'], nonResourceURLs: ['*'] }],
    }),
  },
  {
    group: 'authentication.k8s.io',
    plural: 'selfsubjectreviews',
    kind: 'SelfSubjectReview',
    answer: () => ({ userInfo: { username: 'weft:anonymous', groups: ['system:unauthenticated'] } }),
  },
]

/** The reply to a review that was posted to this path, or undefined when the path is of none. */
export function review(path: string, body: unknown): HttpReply | undefined {
  const found = reviewKinds.find(({ group, plural }) => path === `/apis/${group}/v1/${plural}`)
  if (!found) return undefined
  const spec = typeof body === 'object' && body !== null && 'spec' in body ? { spec: body.spec } : {}
  const answer = {
    kind: found.kind,
    apiVersion: `${found.group}/v1`,
    metadata: { creationTimestamp: null },
    ...spec,
    status: found.answer(),
  }
  return { status: 201, headers: { 'content-type': 'application/json' }, body: JSON.stringify(answer) }
}
