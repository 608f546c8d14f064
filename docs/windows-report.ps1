# Tries what Keybearer does with Web Account Manager and prints a report without secrets.
# Usage: windows-report.ps1 [-ClientId ID] [-Tenant TENANT] [-Program PATH]
param(
    [string]$ClientId = "",
    [string]$Tenant = "organizations",
    [string]$Program = ".\keybearer.exe"
)
$scope = "https://management.azure.com/.default"
$app = @()
if ($ClientId) { $app = @("--client-id", $ClientId); $scope = "User.Read" }

# Tokens, names, ids: replaced before anything is printed.
function Hide([string]$text) {
    $text = $text -replace 'eyJ[A-Za-z0-9_.\-]+', '<token>'
    $text = $text -replace '"access_token": "[^"]*"', '"access_token": "<token>"'
    $text = $text -replace '[A-Za-z0-9._%+\-]+@[A-Za-z0-9.\-]+', '<name>'
    $text = $text -replace '[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}', '<id>'
    $text = $text -replace '"name": "[^"]*"', '"name": "<name>"'
    return $text.Replace($env:USERNAME, '<user>').Replace($env:COMPUTERNAME, '<computer>')
}

function Try-Step([string]$title, [string[]]$arguments) {
    "== $title"
    $clock = [Diagnostics.Stopwatch]::StartNew()
    $output = & $Program @arguments 2>&1 | Out-String
    $code = $LASTEXITCODE
    Hide $output.TrimEnd()
    "exit code $code after $([int]$clock.Elapsed.TotalMilliseconds) ms"
    ""
}

"== machine"
(Get-CimInstance Win32_OperatingSystem | Select-Object Caption, Version, OSArchitecture | Format-List | Out-String).Trim()
(dsregcmd /status 2>$null | Select-String 'AzureAdJoined|WorkplaceJoined|DomainJoined|AzureAdPrt ' | Out-String).Trim()
""
$common = $app + @("--tenant", $Tenant)
Try-Step "version" @("--version")
Try-Step "doctor" @("doctor")
Try-Step "accounts before" @("accounts", "--output", "json")
Try-Step "silent before" (@("token", "--silent", "--scope", $scope, "--output", "json") + $common)
Try-Step "sign-in: please sign in" (@("login", "--timeout", "180") + $common)
Try-Step "silent after" (@("token", "--silent", "--scope", $scope, "--output", "json") + $common)
Try-Step "sign-in given up: please leave the window alone" (@("token", "--interactive", "--scope", $scope, "--timeout", "10", "--output", "json") + $common)
Try-Step "sign-in closed: please close the window" (@("token", "--interactive", "--scope", $scope, "--timeout", "120", "--output", "json") + $common)
Try-Step "wrong directory" (@("token", "--silent", "--scope", $scope, "--tenant", "00000000-0000-0000-0000-000000000001", "--output", "json") + $app)
Try-Step "accounts after" @("accounts", "--output", "json")
