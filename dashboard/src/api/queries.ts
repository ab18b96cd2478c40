/** What the pages ask the control plane again and again; the last answer stays on the page while the control plane is away. */

import { QueryClient, queryOptions, useQuery } from '@tanstack/react-query'
import type { ControlStatus, Convergence, ProxyConfig, ProxyStatus, Series, Topology } from '../../../src/api/mesh-api.ts'
import { ApiError, call } from './call.ts'

export type * from '../../../src/api/mesh-api.ts'

export const queries = new QueryClient({
  defaultOptions: {
    // networkMode: a laptop without network still has a control plane on loopback. retry: asking again is the interval's job.
    queries: { networkMode: 'always', retry: false, staleTime: 1_000, gcTime: 30 * 60_000 },
    mutations: { networkMode: 'always' },
  },
})

export const statusQuery = queryOptions({
  queryKey: ['status'],
  queryFn: ({ signal }) => call<ControlStatus>('weft/v1/status', { signal }),
  refetchInterval: 3_000,
})

export const useStatus = () => useQuery(statusQuery)

/** seconds: how far back rates look. */
export const useTopology = (seconds = 60) =>
  useQuery({
    queryKey: ['topology', seconds],
    queryFn: ({ signal }) => call<Topology>(`weft/v1/topology?seconds=${seconds}`, { signal }),
    refetchInterval: 2_000,
    placeholderData: last => last,
  })

/** A plain list, or a list object with `items`: both are understood. */
export const useProxies = () =>
  useQuery({
    queryKey: ['proxies'],
    queryFn: async ({ signal }) => {
      const reply = await call<
        readonly ProxyStatus[] | { readonly items?: readonly ProxyStatus[]; readonly proxies?: readonly ProxyStatus[] }
      >('weft/v1/proxies', { signal })
      return 'length' in reply ? reply : (reply.items ?? reply.proxies ?? [])
    },
    refetchInterval: 3_000,
  })

export const useProxyConfig = (id: string) =>
  useQuery({
    queryKey: ['proxy-config', id],
    queryFn: ({ signal }) => call<ProxyConfig>(`weft/v1/proxies/${encodeURIComponent(id)}/config`, { signal }),
    refetchInterval: 5_000,
  })

/** service: NAME.NAMESPACE. Ten minutes, a point every five seconds. */
export const useSeries = (service: string, side: 'inbound' | 'outbound', enabled = true) =>
  useQuery({
    queryKey: ['series', service, side],
    queryFn: ({ signal }) => call<Series>(`weft/v1/series?service=${encodeURIComponent(service)}&seconds=600&side=${side}`, { signal }),
    refetchInterval: 5_000,
    enabled,
  })

/** Asked four times a second until every proxy has answered for the revision, or it is no longer asked for. */
export const useConvergence = (revision: number | undefined) =>
  useQuery({
    queryKey: ['convergence', revision],
    queryFn: ({ signal }) => call<Convergence>(`weft/v1/convergence?revision=${revision}`, { signal }),
    enabled: revision !== undefined,
    refetchInterval: query => (query.state.data && query.state.data.pending.length === 0 ? 5_000 : 250),
  })

/** The control plane is gone when nobody answers or something in between says so; a refusal is an answer. */
export const isGone = (error: unknown): boolean =>
  error instanceof ApiError && (error.status === 0 || error.status === 502 || error.status === 503 || error.status === 504)
