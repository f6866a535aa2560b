package emulator

// Kinds of operating system that a product runs on.
const (
	onWindows = 1 << iota
	onLinux
	onMac
)

// platform is one release of an operating system. The machine list and the assessments
// name the same system differently for Linux (mde-api §7, §8.4).
type platform struct {
	list, assess string // osPlatform in /api/machines and in the assessments
	release      string // version in /api/machines: "22H2", "9.4"
	assessPrefix string // osVersion in the assessments, for Linux and macOS whole
	build        int64  // 0 = none reported
	kind         int
	server       bool
	weight       int
	vendor, name string // the product that the system itself is
	next         int    // platform after a feature upgrade, -1 = none
	versionStyle string
	flaws        int
}

var platforms = []platform{
	{list: "Windows11", assess: "Windows11", release: "23H2", assessPrefix: "10.0.22631", build: 22631, kind: onWindows, weight: 26, vendor: "microsoft", name: "windows_11", next: 1, versionStyle: "windows", flaws: 420},
	{list: "Windows11", assess: "Windows11", release: "24H2", assessPrefix: "10.0.26100", build: 26100, kind: onWindows, weight: 22, vendor: "microsoft", name: "windows_11", next: -1, versionStyle: "windows", flaws: 420},
	{list: "Windows10", assess: "Windows10", release: "22H2", assessPrefix: "10.0.19045", build: 19045, kind: onWindows, weight: 20, vendor: "microsoft", name: "windows_10", next: -1, versionStyle: "windows", flaws: 420},
	{list: "WindowsServer2022", assess: "WindowsServer2022", release: "21H2", assessPrefix: "10.0.20348", build: 20348, kind: onWindows, server: true, weight: 9, vendor: "microsoft", name: "windows_server_2022", next: -1, versionStyle: "windows", flaws: 420},
	{list: "WindowsServer2019", assess: "WindowsServer2019", release: "1809", assessPrefix: "10.0.17763", build: 17763, kind: onWindows, server: true, weight: 5, vendor: "microsoft", name: "windows_server_2019", next: -1, versionStyle: "windows", flaws: 420},
	{list: "WindowsServer2016", assess: "WindowsServer2016", release: "1607", assessPrefix: "10.0.14393", build: 14393, kind: onWindows, server: true, weight: 2, vendor: "microsoft", name: "windows_server_2016", next: -1, versionStyle: "windows", flaws: 420},
	{list: "Ubuntu", assess: "Linux", release: "22.04", assessPrefix: "ubuntu_linux_22.04", kind: onLinux, server: true, weight: 4, vendor: "ubuntu", name: "linux", next: -1, versionStyle: "kernel", flaws: 500},
	{list: "RedHatEnterpriseLinux", assess: "Linux", release: "9.4", assessPrefix: "enterprise_linux_9.4", kind: onLinux, server: true, weight: 3, vendor: "red_hat", name: "kernel", next: -1, versionStyle: "rpm", flaws: 500},
	{list: "Debian", assess: "Linux", release: "12", assessPrefix: "debian_linux_12", build: 6, kind: onLinux, server: true, weight: 2, vendor: "debian", name: "linux", next: -1, versionStyle: "kernel", flaws: 500},
	{list: "macOS", assess: "macOS", release: "15.1", assessPrefix: "15.1.0", build: 24, kind: onMac, weight: 7, vendor: "apple", name: "macos", next: -1, versionStyle: "mac", flaws: 350},
}

// title is a product as it is written down here; the catalogue gives it versions and CVEs.
type title struct {
	vendor, name string
	kinds        int
	style        string
	flaws        int
	path         string // "" = the source reports no path
}

// titles are in order of how common they are.
var titles = []title{
	{"microsoft", "edge_chromium-based", onWindows | onMac, "browser", 420, `C:\Program Files (x86)\Microsoft\Edge\Application\msedge.exe`},
	{"microsoft", "office", onWindows | onMac, "office", 300, `C:\Program Files\Microsoft Office\root\Office16\WINWORD.EXE`},
	{"microsoft", ".net_framework", onWindows, "framework", 90, ""},
	{"microsoft", "defender_for_endpoint", onWindows | onLinux | onMac, "agent", 4, ""},
	{"microsoft", "onedrive", onWindows | onMac, "quad", 12, `C:\Program Files\Microsoft OneDrive\OneDrive.exe`},
	{"microsoft", "teams", onWindows | onMac, "quad", 24, `C:\Program Files\WindowsApps\MSTeams_x64__8wekyb3d8bbwe\ms-teams.exe`},
	{"google", "chrome", onWindows | onMac | onLinux, "browser", 480, `C:\Program Files\Google\Chrome\Application\chrome.exe`},
	{"openssl", "openssl", onWindows | onLinux | onMac, "semver", 110, `C:\Program Files\Common Files\OpenSSL\libcrypto-3-x64.dll`},
	{"gnu", "glibc", onLinux, "semver", 90, `/usr/lib/x86_64-linux-gnu/libc.so.6`},
	{"gnu", "bash", onLinux | onMac, "semver", 12, `/usr/bin/bash`},
	{"openbsd", "openssh", onLinux | onMac | onWindows, "semver", 40, `C:\Windows\System32\OpenSSH\ssh.exe`},
	{"sudo_project", "sudo", onLinux | onMac, "semver", 24, `/usr/bin/sudo`},
	{"haxx", "curl", onLinux | onMac | onWindows, "semver", 80, `C:\Windows\System32\curl.exe`},
	{"systemd_project", "systemd", onLinux, "semver", 30, `/usr/lib/systemd/systemd`},
	{"microsoft", "visual_c++_redistributable", onWindows, "quad", 2, `C:\Windows\System32\msvcp140.dll`},
	{"adobe", "acrobat_reader_dc", onWindows | onMac, "year", 260, `C:\Program Files\Adobe\Acrobat DC\Acrobat\Acrobat.exe`},
	{"mozilla", "firefox", onWindows | onLinux | onMac, "browser", 360, `C:\Program Files\Mozilla Firefox\firefox.exe`},
	{"zoom", "workplace", onWindows | onMac, "quad", 70, `C:\Program Files\Zoom\bin\Zoom.exe`},
	{"7-zip", "7-zip", onWindows, "short", 18, `C:\Program Files\7-Zip\7z.exe`},
	{"oracle", "java_se", onWindows | onLinux | onMac, "java", 140, `C:\Program Files\Java\jre1.8.0_401\bin\java.exe`},
	{"python", "python", onWindows | onLinux | onMac, "semver", 70, `C:\Program Files\Python311\python.exe`},
	{"microsoft", "visual_studio_code", onWindows | onLinux | onMac, "semver", 30, `C:\Program Files\Microsoft VS Code\Code.exe`},
	{"notepad-plus-plus", "notepad++", onWindows, "short", 20, `C:\Program Files\Notepad++\notepad++.exe`},
	{"vmware", "tools", onWindows | onLinux, "quad", 20, `C:\Program Files\VMware\VMware Tools\VMware VGAuth\VMwareAliasImport.exe`},
	{"apache", "log4j", onWindows | onLinux, "semver", 16, `C:\Program Files\Contoso\Ledger\lib\log4j-core.jar`},
	{"perl", "perl", onLinux | onMac, "semver", 24, `/usr/bin/perl`},
	{"vim", "vim", onLinux | onMac, "quad", 160, `/usr/bin/vim`},
	{"xmlsoft", "libxml2", onLinux | onMac, "semver", 50, `/usr/lib/x86_64-linux-gnu/libxml2.so.2`},
	{"sqlite", "sqlite", onLinux | onMac | onWindows, "semver", 30, `C:\Windows\System32\winsqlite3.dll`},
	{"zlib", "zlib", onLinux | onMac | onWindows, "semver", 6, `C:\Program Files\Common Files\zlib1.dll`},
	{"git", "git", onWindows | onLinux | onMac, "semver", 50, `C:\Program Files\Git\cmd\git.exe`},
	{"putty", "putty", onWindows, "short", 14, `C:\Program Files\PuTTY\putty.exe`},
	{"videolan", "vlc_media_player", onWindows | onMac, "quad", 28, `C:\Program Files\VideoLAN\VLC\vlc.exe`},
	{"microsoft", "sql_server_management_studio", onWindows, "quad", 16, `C:\Program Files (x86)\Microsoft SQL Server Management Studio 20\Common7\IDE\Ssms.exe`},
	{"microsoft", "powershell", onWindows | onLinux, "semver", 16, `C:\Program Files\PowerShell\7\pwsh.exe`},
	{"microsoft", "sql_server_2019", onWindows, "quad", 60, `C:\Program Files\Microsoft SQL Server\MSSQL15.MSSQLSERVER\MSSQL\Binn\sqlservr.exe`},
	{"microsoft", "asp.net_core", onWindows | onLinux, "semver", 40, `C:\Program Files\dotnet\shared\Microsoft.AspNetCore.App`},
	{"citrix", "workspace_app", onWindows | onMac, "quad", 20, `C:\Program Files (x86)\Citrix\ICA Client\wfica32.exe`},
	{"cisco", "secure_client", onWindows | onMac | onLinux, "quad", 26, `C:\Program Files (x86)\Cisco\Cisco Secure Client\vpnui.exe`},
	{"cisco", "webex_meetings", onWindows | onMac, "quad", 22, ""},
	{"fortinet", "forticlient", onWindows | onMac, "semver", 36, `C:\Program Files\Fortinet\FortiClient\FortiClient.exe`},
	{"teamviewer", "teamviewer", onWindows, "semver", 12, `C:\Program Files\TeamViewer\TeamViewer.exe`},
	{"winscp", "winscp", onWindows, "semver", 8, `C:\Program Files (x86)\WinSCP\WinSCP.exe`},
	{"wireshark", "wireshark", onWindows | onMac | onLinux, "semver", 80, `C:\Program Files\Wireshark\Wireshark.exe`},
	{"gimp", "gimp", onWindows | onLinux, "semver", 22, `C:\Program Files\GIMP 2\bin\gimp-2.10.exe`},
	{"libreoffice", "libreoffice", onWindows | onLinux, "quad", 36, `C:\Program Files\LibreOffice\program\soffice.exe`},
	{"keepass", "keepass", onWindows, "semver", 6, `C:\Program Files\KeePass Password Safe 2\KeePass.exe`},
	{"rarlab", "winrar", onWindows, "short", 14, `C:\Program Files\WinRAR\WinRAR.exe`},
	{"docker", "desktop", onWindows | onMac, "semver", 30, `C:\Program Files\Docker\Docker\Docker Desktop.exe`},
	{"nodejs", "node.js", onWindows | onLinux | onMac, "semver", 60, `C:\Program Files\nodejs\node.exe`},
	{"php", "php", onLinux | onWindows, "semver", 70, `C:\php\php.exe`},
	{"nginx", "nginx", onLinux, "semver", 26, `/usr/sbin/nginx`},
	{"apache", "http_server", onLinux | onWindows, "semver", 60, `C:\Apache24\bin\httpd.exe`},
	{"apache", "tomcat", onLinux | onWindows, "semver", 50, `C:\Program Files\Apache Software Foundation\Tomcat 9.0\bin\tomcat9.exe`},
	{"postgresql", "postgresql", onLinux | onWindows, "short", 44, `C:\Program Files\PostgreSQL\16\bin\postgres.exe`},
	{"oracle", "mysql", onLinux | onWindows, "semver", 120, `C:\Program Files\MySQL\MySQL Server 8.0\bin\mysqld.exe`},
	{"mongodb", "mongodb", onLinux | onWindows, "semver", 20, `C:\Program Files\MongoDB\Server\7.0\bin\mongod.exe`},
	{"redis", "redis", onLinux, "semver", 22, `/usr/bin/redis-server`},
	{"elastic", "elasticsearch", onLinux | onWindows, "semver", 26, `/usr/share/elasticsearch/bin/elasticsearch`},
	{"jenkins", "jenkins", onLinux | onWindows, "semver", 60, `/usr/share/java/jenkins.war`},
	{"grafana", "grafana", onLinux, "semver", 30, `/usr/sbin/grafana`},
	{"veeam", "backup_&_replication", onWindows, "quad", 18, `C:\Program Files\Veeam\Backup and Replication\Console\veeam.backup.shell.exe`},
	{"sap", "gui_for_windows", onWindows, "quad", 16, `C:\Program Files (x86)\SAP\FrontEnd\SAPGUI\saplogon.exe`},
	{"autodesk", "autocad", onWindows, "year", 60, `C:\Program Files\Autodesk\AutoCAD 2024\acad.exe`},
	{"adobe", "photoshop", onWindows | onMac, "semver", 36, `C:\Program Files\Adobe\Adobe Photoshop 2024\Photoshop.exe`},
	{"adobe", "illustrator", onWindows | onMac, "semver", 30, `C:\Program Files\Adobe\Adobe Illustrator 2024\Support Files\Contents\Windows\Illustrator.exe`},
	{"adobe", "creative_cloud", onWindows | onMac, "quad", 10, ""},
	{"intel", "graphics_driver", onWindows, "quad", 26, `C:\Windows\System32\DriverStore\FileRepository\iigd_dch.inf_amd64\igfxEM.exe`},
	{"nvidia", "gpu_display_driver", onWindows | onLinux, "short", 40, ""},
	{"realtek", "audio_driver", onWindows, "quad", 4, ""},
	{"dell", "supportassist_for_business_pcs", onWindows, "quad", 12, `C:\Program Files\Dell\SupportAssistAgent\bin\SupportAssistAgent.exe`},
	{"hp", "support_assistant", onWindows, "quad", 8, `C:\Program Files (x86)\HP\HP Support Framework\HPSF.exe`},
	{"lenovo", "system_update", onWindows, "quad", 8, `C:\Program Files (x86)\Lenovo\System Update\tvsu.exe`},
	{"foxit", "pdf_reader", onWindows, "quad", 90, `C:\Program Files (x86)\Foxit Software\Foxit PDF Reader\FoxitPDFReader.exe`},
	{"irfanview", "irfanview", onWindows, "short", 16, `C:\Program Files\IrfanView\i_view64.exe`},
	{"filezilla-project", "filezilla_client", onWindows | onMac, "semver", 6, `C:\Program Files\FileZilla FTP Client\filezilla.exe`},
	{"slack", "slack", onWindows | onMac, "semver", 8, `C:\Program Files\Slack\slack.exe`},
	{"signal", "signal-desktop", onWindows | onMac, "semver", 6, ""},
	{"jetbrains", "intellij_idea", onWindows | onLinux | onMac, "year", 28, `C:\Program Files\JetBrains\IntelliJ IDEA\bin\idea64.exe`},
	{"jetbrains", "pycharm", onWindows | onMac, "year", 14, `C:\Program Files\JetBrains\PyCharm\bin\pycharm64.exe`},
	{"hashicorp", "vagrant", onWindows | onMac, "semver", 4, `C:\Program Files\Vagrant\bin\vagrant.exe`},
	{"oracle", "vm_virtualbox", onWindows | onLinux | onMac, "semver", 50, `C:\Program Files\Oracle\VirtualBox\VirtualBox.exe`},
	{"contoso", "ledger_beta", onWindows, "semver", 6, `C:\Program Files\Contoso\Ledger "Beta"\ledger.exe`},
	{"fabrikam", "zählerstand_añadir", onWindows, "semver", 4, `C:\Program Files\Fabrikam\Zählerstand\zähler.exe`},
}

// Rarer titles are made of these.
var (
	makers = []string{"contoso", "fabrikam", "northwind", "tailspin", "litware", "proseware", "wingtip", "adatum", "woodgrove", "lucerne", "trey_research", "cohovineyard"}
	wares  = []string{"scheduler", "print_agent", "label_designer", "time_tracking", "badge_reader", "report_viewer", "import_client", "fleet_monitor", "dicom_viewer", "cad_converter", "pos_terminal", "backup_client", "ticket_desk"}
)

// bundles is software without a product code.
var bundles = []struct{ vendor, name string }{
	{"intel", "intel®_software_installer"},
	{"microsoft", "vs_communitymsi"},
	{"Lob Apps", "Headtrax"},
	{"microsoft", "update_health_tools"},
	{"Contoso", "Contoso VPN Profile™"},
	{"dell", "command_|_update_for_windows"},
	{"hp", "hp_documentation"},
	{"realtek", "realtek_high_definition_audio_driver"},
	{"Fabrikam Inc.", "Kassenschnittstelle 2"},
	{"logitech", "options+"},
	{"microsoft", "teams_meeting_add-in"},
	{"Adatum", "Ausweisleser"},
	{"Northwind", "Northwind Traders Client"},
	{"brother", "iprint&scan"},
	{"epson", "scan_2"},
	{"canon", "mf_toolbox"},
	{"microsoft", "windows_sdk_addon"},
	{"synaptics", "touchpad_driver"},
	{"Tailspin Toys", "Katalog"},
	{"Wingtip", "Wingtip Sync"},
	{"yubico", "yubikey_smart_card_minidriver"},
	{"Litware", "Litware HR"},
	{"microsoft", "clickonce_bootstrapper"},
	{"amd", "chipset_software"},
	{"Proseware", "Übersetzer"},
	{"jabra", "direct"},
	{"poly", "lens"},
	{"Woodgrove", "Online-Banking Signatur"},
}

var groups = []struct {
	id     int64
	name   string
	weight int
}{
	{0, "Unassigned", 18}, {77, "Kiosks", 5}, {86, "Production-Servers", 14}, {231, "Développement – Zürich", 9}, {512, "Laptops", 22}, {909, "Factory Floor", 2}, {4415, "Workstations EMEA", 18}, {4416, "Workstations Americas", 12},
}

// factory is the group whose folder is missing from the exports on one day.
const factory = 5

// laptops is the group of the machines that are several records of one device.
const laptops = 4

var tagNames = []string{"PROD", "Test", "VIP", "Finance", "Standort Köln", "kiosk", "PCI-DSS", "Pilot Ring", "C-Lab-Linux", "Do Not Patch", servers}

// servers is the tag of most servers and of few others.
const servers = "Servers"

var givenNames = []string{"anna", "ben", "carla", "deniz", "emil", "fatima", "georg", "hana", "ivo", "jana", "karim", "lena", "mira", "noah", "olga", "pavel", "quinn", "rosa", "sven", "tara", "umut", "vera", "wim", "xenia", "yara", "zoe"}

var categories = []struct {
	name, sub string
	checks    []string
}{
	{"OS", "", []string{"Disable insecure administration protocol - Telnet", "Enable 'Local Machine Zone Lockdown Security'", "Disable 'Autoplay for non-volume devices'", "Set 'Minimum PIN length for startup' to '6 or more characters'", "Disable 'Enumerate administrator accounts on elevation'"}},
	{"Network", "", []string{"Disable 'Insecure guest logons' in SMB", "Disable SMBv1 client driver", "Set LAN Manager authentication level to 'Send NTLMv2 response only'", "Disable IP source routing", "Enable 'Require domain users to elevate when setting a network's location'"}},
	{"Accounts", "Password policy", []string{"Set 'Minimum password length' to '14 or more characters'", "Set 'Account lockout threshold' to '1-10 invalid login attempts'", "Disable the local administrator account", "Set 'Enforce password history' to '24 or more password(s)'"}},
	{"Security controls", "Antivirus", []string{"Turn on real-time protection", "Enable cloud-delivered protection", "Turn on PUA protection in block mode", "Enable Microsoft Defender Antivirus real-time behavior monitoring for Linux", "Update antivirus definitions"}},
	{"Security controls", "Attack Surface Reduction", []string{"Block Office communication application from creating child processes", "Block credential stealing from lsass.exe", "Block execution of potentially obfuscated scripts", "Use advanced protection against ransomware"}},
	{"Security controls", "Onboard Devices", []string{"Onboard devices to Microsoft Defender for Endpoint", "Fix Microsoft Defender for Endpoint sensor data collection"}},
	{"Application", "", []string{"Disable JavaScript on Adobe Reader", "Block outdated ActiveX controls", "Enable Automatic Updates in Chrome", "Disable running or installing downloaded software with invalid signature"}},
}
