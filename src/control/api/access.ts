/** What a caller may do, asked beforehand: the reviews behind `kubectl auth can-i` and `whoami`, answered by the table that the gate goes by. */

import { mayDo, type Grant, roleFor, tellGrant } from '#api/rights'
import type { HttpReply } from '#io/http-server'
import type { Asked, Principal } from '../operators/principal.ts'
import { placeFor, rightOf } from '../operators/rights.ts'

/** named: the roles of somebody else, by what they are called. */
type Asking = {
  readonly by: Principal
  readonly spec: Readonly<Record<string, unknown>>
  readonly named: (user: string, groups: readonly string[]) => readonly Grant[]
}
type Review = { readonly group: string; readonly plural: string; readonly kind: string; readonly answer: (asking: Asking) => object }

export const reviewKinds: readonly Review[] = [
  {
    group: 'authorization.k8s.io',
    plural: 'selfsubjectaccessreviews',
    kind: 'SelfSubjectAccessReview',
    answer: ({ by, spec }) => judge(by.grants, spec),
  },
  {
    group: 'authorization.k8s.io',
    plural: 'subjectaccessreviews',
    kind: 'SubjectAccessReview',
    answer: ({ spec, named }) => judge(named(textOf(spec['user']), listOf(spec['groups'])), spec),
  },
  {
    group: 'authorization.k8s.io',
    plural: 'selfsubjectrulesreviews',
    kind: 'SelfSubjectRulesReview',
    answer: ({ by, spec }) => rules(by.grants, textOf(spec['namespace']) || 'default'),
  },
  {
    group: 'authentication.k8s.io',
    plural: 'selfsubjectreviews',
    kind: 'SelfSubjectReview',
    answer: ({ by }) => ({
      userInfo:
        by.how === ''
          ? { username: 'weft:anonymous', groups: ['system:unauthenticated'] }
          : { username: by.name, groups: [...by.groups, 'system:authenticated'], extra: { 'weft.dev/how': [by.how] } },
    }),
  },
]

const textOf = (value: unknown): string => (typeof value === 'string' ? value : '')
const listOf = (value: unknown): readonly string[] => (Array.isArray(value) ? value.filter(each => typeof each === 'string') : [])

function judge(grants: readonly Grant[], spec: Readonly<Record<string, unknown>>): object {
  const { resource, verb, namespace, subresource } = (spec['resourceAttributes'] ?? {}) as Readonly<Record<string, unknown>>
  if (spec['resourceAttributes'] === undefined)
    return { allowed: mayDo(grants, 'administer'), reason: 'what is no resource is asked of by the role admin of the whole mesh' }
  // `kubectl auth can-i '*' '*'`
  const right = verb === '*' ? 'administer' : rightOf(textOf(verb), textOf(resource), textOf(subresource))
  if (right === undefined) return { allowed: false, reason: `there is no verb "${textOf(verb)}" here` }
  const place = placeFor(textOf(verb), textOf(resource), textOf(namespace) || undefined)
  const role = `${roleFor(right)}${place === undefined ? '' : `:${place}`}`
  const has = grants.length === 0 ? 'no role' : grants.map(tellGrant).join(' and ')
  return { allowed: mayDo(grants, right, place), reason: `that needs the role ${role}; there is ${has}` }
}

function rules(grants: readonly Grant[], namespace: string): object {
  const verbs = [
    ...(mayDo(grants, 'read', namespace) ? ['get', 'list', 'watch'] : []),
    ...(mayDo(grants, 'edit', namespace) ? ['create', 'update', 'patch', 'delete', 'deletecollection'] : []),
  ]
  const all = mayDo(grants, 'administer', namespace) ? ['*'] : verbs
  return {
    incomplete: false,
    resourceRules: all.length === 0 ? [] : [{ verbs: all, apiGroups: ['*'], resources: ['*'] }],
    nonResourceRules: mayDo(grants, 'administer') ? [{ verbs: ['*'], nonResourceURLs: ['*'] }] : [],
  }
}

export const isReview = (path: string): boolean => found(path) !== undefined
const found = (path: string): Review | undefined => reviewKinds.find(({ group, plural }) => path === `/apis/${group}/v1/${plural}`)

/** The reply to a review that was posted to this path, or undefined when the path is of none. */
export function review({ path, by }: Pick<Asked, 'path' | 'by'>, body: unknown, named: Asking['named']): HttpReply | undefined {
  const asked = found(path)
  if (!asked) return undefined
  const spec = typeof body === 'object' && body !== null && 'spec' in body ? (body.spec as Readonly<Record<string, unknown>> | null) : null
  const answer = {
    kind: asked.kind,
    apiVersion: `${asked.group}/v1`,
    metadata: { creationTimestamp: null },
    ...(spec === null ? {} : { spec }),
    status: asked.answer({ by, spec: spec ?? {}, named }),
  }
  return { status: 201, headers: { 'content-type': 'application/json' }, body: JSON.stringify(answer) }
}
