/** What the pages ask the control plane again and again; the last answer stays on the page while the control plane is away. */

import { QueryCache, QueryClient, queryOptions, useQuery } from '@tanstack/react-query'
import { ApiError, Unreachable, connect } from '../../../src/api/client.ts'

export { ApiError } from '../../../src/api/client.ts'
export type * from '../../../src/api/mesh-api.ts'

/** The API lives beside the page, whatever path both are served under. */
export const control = connect(new URL('./', document.baseURI).href, { timeoutMs: 10_000 })

export const queries = new QueryClient({
  // A session that ended is noticed by the first question that is refused for it.
  queryCache: new QueryCache({
    onError: error => {
      if (error instanceof ApiError && error.code === 401) void queries.invalidateQueries({ queryKey: ['login'] })
    },
  }),
  defaultOptions: {
    // networkMode: a laptop without network still has a control plane on loopback. retry: asking again is the interval's job.
    queries: { networkMode: 'always', retry: false, staleTime: 1_000, gcTime: 30 * 60_000 },
    mutations: { networkMode: 'always' },
  },
})

export const useStatus = () => useQuery(statusQuery)
const statusQuery = queryOptions({ queryKey: ['status'], queryFn: () => control.status(), refetchInterval: 3_000 })

/** seconds: how far back rates look. */
export const useTopology = (seconds = 60) =>
  useQuery({
    queryKey: ['topology', seconds],
    queryFn: () => control.topology(seconds),
    refetchInterval: 2_000,
    placeholderData: last => last,
  })

export const useProxies = () => useQuery({ queryKey: ['proxies'], queryFn: () => control.proxies(), refetchInterval: 3_000 })

export const useProxyConfig = (id: string) =>
  useQuery({ queryKey: ['proxy-config', id], queryFn: () => control.proxyConfig(id), refetchInterval: 5_000 })

/** service: NAME.NAMESPACE. Ten minutes, a point every five seconds. */
export const useSeries = (service: string, side: 'inbound' | 'outbound') =>
  useQuery({ queryKey: ['series', service, side], queryFn: () => control.series(service, { seconds: 600, side }), refetchInterval: 5_000 })

/** service: NAME.NAMESPACE. Who is left out of it, and how much of its limits is used. */
export const useResilience = (service: string) =>
  useQuery({ queryKey: ['resilience', service], queryFn: () => control.resilience(service), refetchInterval: 2_000 })

/** Who still speaks plaintext to its workloads. */
export const useMtls = (service: string, namespace: string) =>
  useQuery({
    queryKey: ['mtls', service, namespace],
    queryFn: () => control.mtls({ service, namespace }),
    refetchInterval: 5_000,
  })

/** service, from: NAME.NAMESPACE; from undefined: of a client that no policy names. A refusal says that there is no such Service. */
export const usePolicies = (service: string, from: string | undefined) =>
  useQuery({
    queryKey: ['policies', service, from],
    queryFn: () => control.policies({ service, ...(from === undefined ? {} : { from }) }),
    refetchInterval: 5_000,
    placeholderData: last => last,
  })

/** Asked four times a second until every proxy has answered for the revision, then seldom. */
export const useConvergence = (revision: number | undefined) =>
  useQuery({
    queryKey: ['convergence', revision],
    queryFn: () => control.convergence(revision!),
    enabled: revision !== undefined,
    refetchInterval: query => (query.state.data && query.state.data.pending.length === 0 ? 5_000 : 250),
  })

/** The control plane is gone when nobody answers or something in between says so; a refusal is an answer. */
export const isGone = (error: unknown): boolean =>
  error instanceof Unreachable || (error instanceof ApiError && [502, 503, 504].includes(error.code))
