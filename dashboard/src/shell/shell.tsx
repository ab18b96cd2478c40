/** What stands around every page: where one can go, whether the mesh is live, and the banner when the control plane is gone. */

import { ActionIcon, Badge, Group, Kbd, Tooltip, useComputedColorScheme, useMantineColorScheme } from '@mantine/core'
import { useHotkeys } from '@mantine/hooks'
import {
  IconFileCode,
  IconGauge,
  IconHexagons,
  IconMoon,
  IconPlugConnectedX,
  IconRoute2,
  IconSearch,
  IconSun,
  IconTopologyStar3,
} from '@tabler/icons-react'
import { Link, Outlet } from '@tanstack/react-router'
import type { ReactNode } from 'react'
import { Suspense, useState } from 'react'
import { useLogin } from '../api/login.ts'
import { ApiError, isGone, useStatus } from '../api/queries.ts'
import { Loading } from '../shared/empty.tsx'
import { clockTime, span } from '../shared/format.ts'
import { useNow } from '../shared/now.ts'
import { Finder } from './finder.tsx'
import { LoginPage } from './login.tsx'
import { Logo } from './logo.tsx'
import css from './shell.module.css'
import { Who } from './who.tsx'

const pages = [
  { to: '/', label: 'Topology', icon: IconTopologyStar3, exact: true },
  { to: '/services', label: 'Services', icon: IconHexagons },
  { to: '/proxies', label: 'Proxies', icon: IconRoute2 },
  { to: '/resources', label: 'Resources', icon: IconFileCode },
  { to: '/status', label: 'Status', icon: IconGauge },
] as const

/** Whoever is not logged in where that is required sees the login and nothing else. */
export function Shell(): ReactNode {
  const login = useLogin()
  if (login.data?.isRequired && login.data.user === undefined) return <LoginPage login={login.data} />
  if (login.isPending) return <Loading />
  return <Frame />
}

function Frame(): ReactNode {
  const status = useStatus()
  const [isFinding, setFinding] = useState(false)
  useHotkeys([
    ['mod+K', () => setFinding(true)],
    ['/', () => setFinding(true)],
  ])
  const ill = (status.data?.proxies ?? []).filter(proxy => proxy.state === 'rejected' || proxy.state === 'disconnected').length
  return (
    <div className={css['frame']}>
      <a
        href="#main"
        className={css['skip']}
        onClick={event => {
          event.preventDefault()
          document.getElementById('main')?.focus()
        }}
      >
        Skip to the page
      </a>
      <nav className={css['nav']} aria-label="Pages">
        <Link to="/" className={css['brand']} aria-label="Weft, topology">
          <Logo />
          <span className={css['label']}>Weft</span>
        </Link>
        {pages.map(({ to, label, icon: Icon, ...rest }) => (
          <Link
            key={to}
            to={to}
            className={css['link']}
            activeOptions={{ exact: 'exact' in rest, includeSearch: false }}
            activeProps={{ 'aria-current': 'page' }}
            aria-label={label}
            data-testid={`nav-${label.toLowerCase()}`}
          >
            <Icon aria-hidden />
            <span className={css['label']}>{label}</span>
            {to === '/proxies' && ill > 0 && (
              <Badge className={css['count']} size="sm" color="red" variant="light" aria-label={`${ill} need attention`}>
                {ill}
              </Badge>
            )}
          </Link>
        ))}
        <div className={css['foot']}>
          <Who />
          <Live />
          <Group gap={4} wrap="nowrap">
            <SchemeSwitch />
            <Tooltip label="Find a service, proxy or resource">
              <ActionIcon variant="subtle" color="gray" onClick={() => setFinding(true)} aria-label="Find">
                <IconSearch size={17} />
              </ActionIcon>
            </Tooltip>
            <Kbd size="xs" className={css['label'] ?? ''} aria-hidden>
              /
            </Kbd>
          </Group>
        </div>
      </nav>
      <GoneBanner />
      <main className={css['main']} id="main" tabIndex={-1} style={{ outline: 'none' }}>
        <Suspense fallback={<Loading />}>
          <Outlet />
        </Suspense>
      </main>
      <Finder isOpen={isFinding} close={() => setFinding(false)} />
    </div>
  )
}

function Live(): ReactNode {
  const { data, isError, error } = useStatus()
  const gone = isError && isGone(error)
  return (
    <div className={css['live']} role="status" data-testid="live">
      <span className={css['dot']} data-gone={gone} />
      <span className={css['label']}>
        {gone ? 'Control plane gone' : isError ? 'Live' : data ? `Live · revision ${data.store.revision}` : 'Connecting…'}
      </span>
    </div>
  )
}

/** The last answers stay on the page; this says how old they are. */
function GoneBanner(): ReactNode {
  const { isError, error, dataUpdatedAt } = useStatus()
  const now = useNow(1_000)
  // Who may not see the whole mesh is told so where it is asked for, and not above every page.
  if (!isError || (error instanceof ApiError && error.code === 403)) return null
  return (
    <div className={css['banner']} role="alert" data-testid="gone-banner">
      <IconPlugConnectedX aria-hidden />
      <span>
        <b>{isGone(error) ? 'The control plane does not answer.' : error.message}</b>{' '}
        {dataUpdatedAt > 0
          ? `You see the mesh as it was at ${clockTime(dataUpdatedAt)}, ${span(now - dataUpdatedAt)} ago. Proxies keep serving with what they have.`
          : 'Proxies keep serving with what they have.'}{' '}
        Asking again every few seconds.
      </span>
    </div>
  )
}

function SchemeSwitch(): ReactNode {
  const { setColorScheme } = useMantineColorScheme()
  const scheme = useComputedColorScheme('light')
  const other = scheme === 'dark' ? 'light' : 'dark'
  return (
    <Tooltip label={`Use ${other} colours`}>
      <ActionIcon
        variant="subtle"
        color="gray"
        onClick={() => setColorScheme(other)}
        aria-label={`Use ${other} colours`}
        data-testid="scheme"
      >
        {scheme === 'dark' ? <IconSun size={17} /> : <IconMoon size={17} />}
      </ActionIcon>
    </Tooltip>
  )
}
