# Tests Keybearer with Web Account Manager and prints a report without secrets.
# Usage: windows-report.ps1 [-ClientId ID] [-Tenant TENANT] [-Program PATH] [-Python PATH]
#   -Python  also test the Python package, with an interpreter that has keybearer and pywin32
param(
    [string]$ClientId = "",
    [string]$Tenant = "organizations",
    [string]$Program = ".\keybearer.exe",
    [string]$Python = ""
)
# The program writes UTF-8; Windows PowerShell would read it in the console's old code page.
[Console]::OutputEncoding = New-Object Text.UTF8Encoding $false
if (-not (Get-Command $Program -ErrorAction SilentlyContinue)) {
    [Console]::Error.WriteLine("there is no program $Program; name it with -Program")
    exit 1
}
$scope = "https://management.azure.com/.default"
$app = @()
if ($ClientId) { $app = @("--client-id", $ClientId); $scope = "User.Read" }

# Replaces tokens, names and ids before anything is printed, tokens first.
function Hide([string]$text) {
    $text = $text -replace 'eyJ[A-Za-z0-9_.\-]+', '<token>'
    $text = $text -replace '"access_token":\s*"[^"]*"', '"access_token":"<token>"'
    $text = $text -replace '[A-Za-z0-9._%+\-]+@[A-Za-z0-9.\-]+', '<name>'
    $text = $text -replace '"(name|username)":\s*"[^"]*"', '"$1":"<name>"'
    $text = $text -replace '[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}', '<id>'
    $text = $text -replace '([A-Za-z]:\\+Users\\+)[^\\"]+', '$1<user>'
    foreach ($name in @($env:USERNAME, $env:COMPUTERNAME, $env:USERDOMAIN)) {
        # Only whole words: a short name can be part of another word.
        if ($name) { $text = $text -replace ('\b' + [regex]::Escape($name) + '\b'), '<user>' }
    }
    return $text
}

# Instructions go to standard error, because the report may be redirected to a file.
function Ask([string]$text) {
    [Console]::Error.WriteLine(">>> $text")
}

function Step([string]$title, [string[]]$arguments, [string]$run = $Program) {
    "== $title"
    $clock = [Diagnostics.Stopwatch]::StartNew()
    # Windows PowerShell makes an error record of each line of standard error; its text is the line.
    $output = (& $run @arguments 2>&1 | ForEach-Object { "$_" }) -join [Environment]::NewLine
    $code = $LASTEXITCODE
    Hide $output.TrimEnd()
    "exit code $code after $([int]$clock.Elapsed.TotalMilliseconds) ms"
    ""
}

"# Keybearer on Windows"
""
"== machine"
$system = Get-CimInstance Win32_OperatingSystem
"$($system.Caption), $($system.Version), $($system.OSArchitecture)"
if (Get-Command dsregcmd -ErrorAction SilentlyContinue) {
    (dsregcmd /status | Select-String 'AzureAdJoined|WorkplaceJoined|DomainJoined|AzureAdPrt ' | Out-String).Trim()
}
"PowerShell $($PSVersionTable.PSVersion)"
""
$common = $app + @("--tenant", $Tenant)
$token = @("token", "--scope", $scope, "--output", "json")
Step "version" @("--version")
Step "doctor" @("doctor")
Step "accounts before" @("accounts", "--output", "json")
Step "silent before" ($token + @("--silent") + $common)
Ask "Windows asks who you are: please sign in."
Step "sign-in" (@("login", "--timeout", "180") + $common)
Step "silent after" ($token + @("--silent") + $common)
Ask "Windows asks again: please leave its window alone. It should close by itself after 10 s."
Step "sign-in left alone" ($token + @("--interactive", "--timeout", "10") + $common)
Ask "Windows asks again: please close its window."
Step "sign-in closed" ($token + @("--interactive", "--timeout", "120") + $common)
Step "wrong directory" ($token + @("--silent", "--tenant", "00000000-0000-0000-0000-000000000001") + $app)
Step "accounts after" @("accounts", "--output", "json")

if ($Python) {
    # Single quotes only: Windows PowerShell loses double ones on the way to a program.
    $keywords = "parent_window_handle=win32gui.GetForegroundWindow(), tenant_id='$Tenant', timeout=180"
    if ($ClientId) { $keywords += ", client_id='$ClientId'" }
    $code = "import win32gui, keybearer; " +
        "token = keybearer.InteractiveBrowserBrokerCredential($keywords).acquire('$scope'); " +
        "print(token.username, token.source, token.expires_on)"
    Ask "If Windows asks who you are, please sign in."
    Step "Python" @("--version") $Python
    Step "Python: a token" @("-c", $code) $Python
}
