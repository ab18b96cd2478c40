/** All proxies: whether each has what it should have, for how long its certificate lasts, how its workload does. */

import { Badge } from '@mantine/core'
import { IconRoute2 } from '@tabler/icons-react'
import { Link } from '@tanstack/react-router'
import type { ReactNode } from 'react'
import type { ProxyStatus } from '../api/queries.ts'
import { useProxies } from '../api/queries.ts'
import { Empty, Loading, Refused } from '../shared/empty.tsx'
import { ago, left } from '../shared/format.ts'
import { inNamespace, useNamespace } from '../shared/namespace.ts'
import { NamespaceSelect } from '../shared/namespace-select.tsx'
import { Page } from '../shared/page.tsx'
import type { Column } from '../shared/table.tsx'
import { Table } from '../shared/table.tsx'
import { CertificateLeft, HealthBadge, SyncBadge } from './badges.tsx'

const columns: readonly Column<ProxyStatus>[] = [
  {
    id: 'id',
    name: 'Proxy',
    value: proxy => proxy.id,
    show: proxy => (
      <Link to="/proxies/$proxy" params={{ proxy: proxy.id }}>
        {proxy.id}
      </Link>
    ),
  },
  {
    id: 'service',
    name: 'Service',
    value: proxy => `${proxy.service} ${proxy.namespace}`,
    show: proxy => (
      <Link to="/services/$service" params={{ service: `${proxy.service}.${proxy.namespace}` }}>
        {proxy.service}
      </Link>
    ),
  },
  { id: 'state', name: 'Configuration', value: proxy => proxy.state, show: proxy => <SyncBadge proxy={proxy} /> },
  {
    id: 'revision',
    name: 'Active / wanted',
    end: true,
    value: proxy => proxy.wanted - proxy.active,
    show: proxy => (
      <span className={proxy.active < proxy.wanted ? 'warn' : ''}>
        {proxy.active === proxy.wanted ? proxy.active : `${proxy.active} / ${proxy.wanted}`}
      </span>
    ),
    hint: 'Store revision that the proxy has acknowledged whole, and the newest that concerns it',
  },
  {
    id: 'certificate',
    name: 'Certificate',
    end: true,
    value: proxy => (proxy.certificate ? left(proxy.certificate.notAfter) : -1),
    show: proxy => <CertificateLeft notAfter={proxy.certificate?.notAfter} />,
  },
  { id: 'health', name: 'Workload', value: proxy => proxy.health, show: proxy => <HealthBadge health={proxy.health} /> },
  {
    id: 'seen',
    name: 'Last heard of',
    end: true,
    value: proxy => -new Date(proxy.lastSeen).getTime(),
    show: proxy => <span className="soft">{ago(proxy.lastSeen)}</span>,
  },
  { id: 'version', name: 'Weft', value: proxy => proxy.version, show: proxy => <span className="soft">{proxy.version}</span> },
]

export function ProxiesPage(): ReactNode {
  const proxies = useProxies()
  const [namespace] = useNamespace()
  if (!proxies.data) return proxies.error ? <Refused error={proxies.error} retry={() => void proxies.refetch()} /> : <Loading />
  const shown = proxies.data.filter(inNamespace(namespace))
  const synced = shown.filter(proxy => proxy.state === 'synced').length
  return (
    <Page
      name="Proxies"
      title="Proxies"
      aside={
        shown.length > 0 && (
          <Badge size="lg" variant="light" color={synced === shown.length ? 'teal' : 'orange'}>
            {synced} of {shown.length} in sync
          </Badge>
        )
      }
    >
      <Table
        testid="proxies"
        rows={shown}
        columns={columns}
        keyOf={proxy => proxy.id}
        sortBy={{ id: 'id', desc: false }}
        searchFor="Search proxies"
        tools={<NamespaceSelect of={proxies.data.map(proxy => proxy.namespace)} />}
        none={
          <Empty icon={<IconRoute2 size={36} stroke={1.2} />} title={namespace ? `No proxies in ${namespace}` : 'No proxy is connected'}>
            Each process that is run in the mesh brings its own: weft run --name NAME --port PORT -- COMMAND
          </Empty>
        }
      />
    </Page>
  )
}
