import { type Account, request } from './api.ts'
import { confirm } from './confirmation.ts'
import { copyTemplate, find, onClick, setAvatar, setText } from './elements.ts'
import { leaveForX } from './trip.ts'
import { accountBadges, actionWords, explainAccount, sayMoment, sayWhen } from './wording.ts'

/** The list of connected accounts. */
export type AccountList = { setAccounts(accounts: readonly Account[]): void }

/** Sets up the list of accounts. `changed` is called after a change, to load them again. */
export function createAccountList(on: { changed(): Promise<void>; error(error: unknown): void }): AccountList {
  const list = find(document, '#accounts', HTMLElement)
  const problem = find(document, '#accounts-problem', HTMLElement)

  async function guarded(work: () => Promise<void>): Promise<void> {
    setText(problem, null)
    await work().catch(on.error)
  }

  async function connect(reconnectAccountId: string | null): Promise<void> {
    setText(problem, await leaveForX(reconnectAccountId))
  }

  async function disconnect({ id, username }: Account): Promise<void> {
    const isSure = await confirm({
      title: `Disconnect @${username}?`,
      text: 'The gateway deletes its tokens and revokes its access at X. You can connect the account again at any time.',
      action: 'Disconnect',
    })
    if (!isSure) return
    const { disconnectAccount } = await request('DisconnectAccount', { input: { accountId: id } })
    setText(problem, disconnectAccount.userErrors[0]?.message ?? null)
    await on.changed()
    // The focused button has been removed.
    find(document, '#accounts-title', HTMLElement).focus()
  }

  function createItem(account: Account): HTMLElement {
    const item = copyTemplate('#account-template')
    const { username, displayName, status, nextAction, connectedAt, lastUsedAt } = account
    setAvatar(find(item, '.avatar', HTMLElement), username, account.avatarUrl)
    find(item, '.name', HTMLElement).textContent = displayName ?? username
    find(item, '.username', HTMLElement).textContent = `@${username}`
    const badge = find(item, '.badge', HTMLElement)
    badge.textContent = accountBadges[status].word
    badge.dataset.tone = accountBadges[status].tone
    setText(find(item, '.reason', HTMLElement), explainAccount(account))
    const facts = find(item, '.facts', HTMLElement)
    facts.textContent = lastUsedAt === null ? `Connected ${sayWhen(connectedAt)}` : `Last post ${sayWhen(lastUsedAt)}`
    facts.hidden = nextAction !== null
    facts.title = `Connected ${sayMoment(connectedAt)}`
    const next = find(item, '.next', HTMLButtonElement)
    setText(next, nextAction === null ? null : actionWords[nextAction])
    next.setAttribute('aria-description', `@${username}`)
    onClick(next, () => guarded(() => connect(account.id)))
    const leave = find(item, '.disconnect', HTMLButtonElement)
    leave.setAttribute('aria-description', `@${username}`)
    onClick(leave, () => guarded(() => disconnect(account)))
    return item
  }

  onClick(find(document, '#connect', HTMLButtonElement), () => guarded(() => connect(null)))
  return {
    setAccounts: (accounts) => {
      list.replaceChildren(...accounts.map(createItem))
      find(document, '#no-accounts', HTMLElement).hidden = accounts.length > 0
      find(document, '#connect', HTMLElement).classList.toggle('primary', accounts.length === 0)
      find(document, '#signed-in', HTMLElement).classList.toggle('first', accounts.length === 0)
    },
  }
}
