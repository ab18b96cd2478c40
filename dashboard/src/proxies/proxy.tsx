/** One proxy: who it is, whether it has its configuration, and that configuration to read. */

import { Alert, SegmentedControl } from '@mantine/core'
import { IconAlertTriangle, IconRoute2 } from '@tabler/icons-react'
import { Link, useParams } from '@tanstack/react-router'
import type { ReactNode } from 'react'
import { Suspense, lazy, useState } from 'react'
import type { ProxyStatus } from '../api/queries.ts'
import { useProxies, useProxyConfig } from '../api/queries.ts'
import { Empty, Loading, Refused } from '../shared/empty.tsx'
import { ago } from '../shared/format.ts'
import { Identity } from '../shared/identity.tsx'
import { Facts, Page, Section } from '../shared/page.tsx'
import { CertificateLeft, HealthBadge, SyncBadge } from './badges.tsx'
import { ConfigTree } from './config-tree.tsx'

const Code = lazy(async () => ({ default: (await import('../resources/editor.tsx')).Code }))

export function ProxyPage(): ReactNode {
  const { proxy: id } = useParams({ from: '/proxies/$proxy' })
  const proxies = useProxies()
  if (!proxies.data) return proxies.error ? <Refused error={proxies.error} retry={() => void proxies.refetch()} /> : <Loading />
  const proxy = proxies.data.find(proxy => proxy.id === id)
  if (!proxy) {
    return (
      <Empty icon={<IconRoute2 size={36} stroke={1.2} />} title={`There is no proxy ${id}`}>
        Its workload may have ended. <Link to="/proxies">See all proxies</Link>
      </Empty>
    )
  }
  return (
    <Page
      name={proxy.workload}
      before={<Link to="/proxies">Proxies</Link>}
      title={
        <>
          {proxy.workload} <SyncBadge proxy={proxy} />
        </>
      }
    >
      <Facts
        facts={[
          [
            'Service',
            <Link key="service" to="/services/$service" params={{ service: `${proxy.service}.${proxy.namespace}` }}>
              {proxy.service}.{proxy.namespace}
            </Link>,
          ],
          ['Workload', <HealthBadge key="health" health={proxy.health} />],
          ['Active revision', proxy.active],
          ['Wanted revision', proxy.wanted],
          ['Connected', proxy.connectedAt ? ago(proxy.connectedAt) : 'not now'],
          ['Last heard of', ago(proxy.lastSeen)],
          ['Certificate', <CertificateLeft key="certificate" notAfter={proxy.certificate?.notAfter} />],
          ['Weft', proxy.version],
        ]}
      />
      <Rejections proxy={proxy} />
      <Lacking proxy={proxy} />
      <Section title="Identity">
        <div className="panel" style={{ padding: '12px 16px' }}>
          <Identity label="SPIFFE id" id={proxy.identity} />
          {proxy.certificate && (
            <Identity
              label={`Certificate serial, valid until ${new Date(proxy.certificate.notAfter).toLocaleString()}`}
              id={proxy.certificate.serial}
            />
          )}
          {proxy.admin && <Identity label="Admin and metrics, from the control plane's host" id={proxy.admin} />}
        </div>
      </Section>
      <Configuration id={proxy.id} />
    </Page>
  )
}

const Rejections = ({ proxy }: { proxy: ProxyStatus }): ReactNode =>
  proxy.rejected.length === 0 ? null : (
    <Section title="Refused" testid="rejections">
      {proxy.rejected.map(refusal => (
        <Alert
          key={`${refusal.type} ${refusal.resource}`}
          color="red"
          variant="light"
          mb="xs"
          icon={<IconAlertTriangle />}
          title={`${refusal.resource} (${refusal.type}), ${ago(refusal.at)}`}
        >
          {/; it (has|lets) /.test(refusal.reason) ? refusal.reason : `${refusal.reason}. The proxy keeps the last good one.`}
        </Alert>
      ))}
    </Section>
  )

/** What an Envoy has no means for. */
const Lacking = ({ proxy: { lacking = [] } }: { proxy: ProxyStatus }): ReactNode =>
  lacking.every(({ fate }) => fate === 'less') ? null : (
    <Section title="Not carried out" testid="lacking">
      {lacking
        .filter(({ fate }) => fate !== 'less')
        .map(({ kind, name, says }) => (
          <Alert
            key={`${kind} ${name} ${says}`}
            color="yellow"
            variant="light"
            mb="xs"
            icon={<IconAlertTriangle />}
            title={`${kind} ${name}`}
          >
            {says}
          </Alert>
        ))}
    </Section>
  )

function Configuration({ id }: { id: string }): ReactNode {
  const config = useProxyConfig(id)
  const [form, setForm] = useState('tree')
  return (
    <Section
      title={`Effective configuration${config.data ? `, revision ${config.data.revision}` : ''}`}
      testid="config"
      aside={
        <SegmentedControl
          size="xs"
          aria-label="Form"
          data={[
            { value: 'tree', label: 'Tree' },
            { value: 'json', label: 'JSON' },
          ]}
          value={form}
          onChange={setForm}
        />
      }
    >
      {!config.data ? (
        config.error ? (
          <Refused error={config.error} retry={() => void config.refetch()} />
        ) : (
          <Loading />
        )
      ) : form === 'tree' ? (
        <ConfigTree view={config.data.view} />
      ) : (
        <Suspense fallback={<Loading />}>
          <Code text={JSON.stringify(config.data.view, undefined, 2)} label="Configuration as JSON" />
        </Suspense>
      )}
    </Section>
  )
}
